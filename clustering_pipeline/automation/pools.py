"""The pools that limit how many steps use one scarce thing at a time, over all runs of the instance."""

GPU, NETWORK, GEMINI = "gpu", "network", "gemini"

# One model on the device, a few categories downloading, and one caller of Gemini: what `pools set` writes to the instance.
LIMITS = {GPU: 1, NETWORK: 2, GEMINI: 1}
