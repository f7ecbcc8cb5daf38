variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id, of which ARNs are built."
  type = object({
    account_id = string
    partition  = string
    region     = string
  })
  nullable = false
}

