"""The checker of calls: what may happen in one, which states that reaches, and the rules judged over them."""
