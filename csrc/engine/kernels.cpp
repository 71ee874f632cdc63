// The kernels for one instruction set. The build compiles this file once for each, with ENGINE_TABLE naming the table.
// Nothing here may be shared with other translation units (a shared inline function could end up using instructions that
// the machine lacks), so all kernels are in unnamed namespaces and no container of the standard library is used.
#include "block.h"
#include "chain.h"
#include "convolution.h"
#include "depthwise.h"
#include "gemm.h"
#include "kernels.h"
#include "maps.h"
#include "sparse.h"

namespace engine {

#define ENGINE_STRING(x) #x
#define ENGINE_NAME(x) ENGINE_STRING(x)

extern const Kernels ENGINE_TABLE;
const Kernels ENGINE_TABLE = {
    ENGINE_NAME(ENGINE_TABLE), run_pointwise, run_convolution, run_block, run_binary,         run_unary, run_pool,
    run_mean,                  run_resize,    run_rearrange,   run_pad,   run_depth_to_space, run_copy,
    run_chain, run_sparse_pointwise, run_sparse_block,
};

}  // namespace engine
