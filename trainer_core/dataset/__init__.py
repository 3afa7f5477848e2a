"""A folder of pictures -> Dataset."""
