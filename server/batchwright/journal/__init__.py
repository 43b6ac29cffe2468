"""The database: jobs, rounds, parts, attempts, money, freezes and events."""
