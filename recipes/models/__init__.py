"""The networks of the recipes, and what they need at evaluation."""
