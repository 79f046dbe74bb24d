"""BERT's pre-training data: documents, sentence pairs, masked tokens."""
