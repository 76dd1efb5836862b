# processor
