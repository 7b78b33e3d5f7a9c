"""What lists and info commands show: fields per kind of object, an engine that runs a query, data of info commands.

`engine.run` answers a list query, `engine.fields` says which columns there are, `info` makes the data of
`gnt-KIND info`, `sources.Sources` is what all of them need to be given. `fields.RESOURCES` is not here: each module
(`instances`, `nodes`, ...) holds one `Resource`, and `engine` knows them all.
"""
