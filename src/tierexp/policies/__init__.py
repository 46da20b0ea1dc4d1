"""Budget in, answers out: what decides the operating point of every question."""
