"""What a payment is: plain data and rules. No AWS, no HTTP, no environment, no clock of its own."""
