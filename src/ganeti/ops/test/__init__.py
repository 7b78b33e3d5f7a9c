"""Operations that test the queue."""
