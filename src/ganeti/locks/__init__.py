"""Floor 3: who may work on what at a time. `table` has the rules, pure; `manager` is its face to asyncio."""
