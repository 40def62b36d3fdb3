"""Telling others: deliveries of the outbox, to programs that are run and to addresses that are posted to."""
