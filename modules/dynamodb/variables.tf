variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id. The module builds ARNs from them."
  type = object({
    account_id = string
    partition  = string
    region     = string
  })
  nullable = false
}

variable "attributes" {
  description = "The type of every attribute that is part of a key: S (string), N (number) or B (binary)."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for type in values(var.attributes) : contains(["S", "N", "B"], type)])
    error_message = "attributes: a type must be S, N or B."
  }
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the table."
  type        = bool
  default     = true
  nullable    = false
}

variable "hash_key" {
  description = "The partition key."
  type        = string
  nullable    = false

  validation {
    condition     = contains(keys(var.attributes), var.hash_key)
    error_message = "hash_key must be one of attributes."
  }
}

variable "indexes" {
  description = "The global secondary indexes by name: keys and projection (KEYS_ONLY, INCLUDE with non_key_attributes, or ALL)."
  type = map(object({
    hash_key           = string
    non_key_attributes = optional(list(string), [])
    projection_type    = optional(string, "KEYS_ONLY")
    range_key          = optional(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for index in values(var.indexes) : contains(["ALL", "INCLUDE", "KEYS_ONLY"], index.projection_type) && (index.projection_type == "INCLUDE") == (length(index.non_key_attributes) > 0)])
    error_message = "indexes: projection_type must be ALL, KEYS_ONLY, or INCLUDE with non_key_attributes."
  }

  validation {
    condition     = alltrue([for index in values(var.indexes) : contains(keys(var.attributes), index.hash_key) && (index.range_key == null || contains(keys(var.attributes), coalesce(index.range_key, index.hash_key)))])
    error_message = "indexes: hash_key and range_key must be among attributes."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts the table."
  type        = string
  nullable    = false
}

variable "name" {
  description = "The table's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{3,255}$", var.name))
    error_message = "name must be 3 to 255 letters, digits, dots, hyphens and underscores."
  }
}

variable "point_in_time_recovery_days" {
  description = "For how many past days the table can be restored to any second; 0 switches it off."
  type        = number
  default     = 35
  nullable    = false

  validation {
    condition     = var.point_in_time_recovery_days >= 0 && var.point_in_time_recovery_days <= 35
    error_message = "point_in_time_recovery_days must be from 0 (off) to 35."
  }
}

variable "range_key" {
  description = "The sort key; null for none."
  type        = string
  default     = null
}

variable "replicas" {
  description = "Replicas by region, each with a key in that region. Taking one out deletes it with its items. They need the stream NEW_AND_OLD_IMAGES."
  type        = map(object({ kms_key_arn = string }))
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.replicas) == 0 || var.stream_view_type == "NEW_AND_OLD_IMAGES"
    error_message = "replicas need stream_view_type = \"NEW_AND_OLD_IMAGES\"."
  }
}

variable "stream_view_type" {
  description = "What the table's stream carries: KEYS_ONLY, NEW_IMAGE, OLD_IMAGE or NEW_AND_OLD_IMAGES; null for no stream."
  type        = string
  default     = null

  validation {
    condition     = var.stream_view_type == null || contains(["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"], coalesce(var.stream_view_type, "-"))
    error_message = "stream_view_type must be KEYS_ONLY, NEW_IMAGE, OLD_IMAGE or NEW_AND_OLD_IMAGES, or null."
  }
}

variable "ttl_attribute" {
  description = "The attribute with an item's expiry time, in seconds since 1970; null for none."
  type        = string
  default     = null
}
