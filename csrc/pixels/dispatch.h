// Which instruction set's kernels run.
#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace posemask {

// The table in use: the widest that this machine has, unless select_level() says otherwise.
const Kernels& kernels();

// Names of the tables that this machine can run, narrowest first.
std::vector<std::string> available_levels();

// Use a table by name; false if this machine cannot run it or there is none of that name.
bool select_level(const std::string& name);

}  // namespace posemask
