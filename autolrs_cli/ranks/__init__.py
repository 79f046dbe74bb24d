"""One run on several processes: how they are started, find each other, and make sure that they are of one mind."""
