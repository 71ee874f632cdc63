// Built once per kernel and set of constants: -DSOURCE="kernel file" -DNAME=kernel -DPOSEMASK_EMULATE -D...
#include SOURCE
extern "C" void launch(const unsigned* grid, int threads, int shared_bytes, const uint64_t* arguments, int count) {
    run_kernel((Kernel)(void*)NAME, grid, threads, shared_bytes, arguments, count);
}
