"""The ports, kept on DynamoDB, SQS and SNS, and a payment gateway that moves no money."""
