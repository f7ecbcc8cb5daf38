"""The functions' entry points: each turns an event into a call of a use case, and the result into an answer."""
