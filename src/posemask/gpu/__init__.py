"""The engine for NVIDIA GPUs: networks as few fused kernels, and the whole chain on the device without waiting.

    graph --plan--> steps --network--> kernels (kernels/*.cu, compiled by `compiler` at run time, cached on disk)

`plan` knows no GPU and turns a `Graph` into fused steps; `reference` runs steps with torch on any device, slowly and in
any precision; `network` runs them with the kernels. A test holds the three together: graph = reference = kernels.

torch alone is needed (the extra ``posemask[torch]``): NVRTC, which compiles the kernels, comes with it.
"""
