"""The payments table. Only this package knows attribute names, condition expressions and index keys."""
