# Read by CMake at every project() of llama-cpp-python's build. It forces these two into the cache, where -D cannot
# reach them; a normal variable of the same name goes before the cache.

# llama.cpp's helpers for its own programs: a third of the compile time, and the Python package never loads them.
set(LLAMA_BUILD_COMMON OFF)

# On macOS Metal is forced on, also for a build that shall use the CPU or Vulkan.
if(DEFINED OLLAMAPY_METAL)
    set(GGML_METAL ${OLLAMAPY_METAL})
endif()
