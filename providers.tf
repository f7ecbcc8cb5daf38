provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Environment = var.environment_suffix
      Project     = var.project
      CostCenter  = var.cost_center
    }
  }
}
