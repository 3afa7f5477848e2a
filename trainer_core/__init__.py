import logging

# on processors with bf16 it warns, whenever it is loaded, of a kernel from the network that nothing here asks for
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
