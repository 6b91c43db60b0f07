"""What is wrong with rows taken together: labels, topics, forms of answers, balance."""
