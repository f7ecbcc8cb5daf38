"""The payments back end: pure rules in the middle, use cases over ports around them, AWS and the handlers at the edge."""
