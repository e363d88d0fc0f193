"""What decides: pure state, standard library only. No clock, no logging, no I/O."""
