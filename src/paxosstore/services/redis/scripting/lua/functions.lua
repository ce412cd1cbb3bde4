-- Libraries of functions: loaded once into a state, then called by name.
local k, entry = ...

local type, error, select, next, tostring, setfenv, xpcall, pcall = type, error, select, next, tostring, setfenv, xpcall, pcall
local find, sub, concat, unpack = string.find, string.sub, table.concat, unpack

local MAX_FUNCTIONS = 500
local FLAGS = { ["no-writes"] = true, ["allow-oom"] = true, ["allow-stale"] = true, ["no-cluster"] = true, ["allow-cross-slot-keys"] = true }
local libraries = {}
local registering, loading

local function missing(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

-- While a library is loaded it sees `redis` alone, without the means to call a command.
local LATER = { call = true, pcall = true, setresp = true, set_repl = true }
local early = {}
for name, value in next, k.redis do
  if not LATER[name] then early[name] = value end
end
local early_redis = k.protect(early, missing)

local front = k.protect({}, function(_, name)
  local value
  if loading then
    value = name == "redis" and early_redis or nil
  else
    value = k.rawget(k.globals, name)
  end
  if value == nil then missing(nil, name) end
  return value
end)

local function fail(text) error({ err = "ERR " .. text }, 0) end

local function named(name)
  if type(name) ~= "string" or not find(name, "^[%w_]+$") then
    fail("Library names can only contain letters, numbers, or underscores(_) and must be at least one character long")
  end
  return name
end

local function flags_of(t)
  if type(t) ~= "table" then fail("flags argument to redis.register_function must be a table representing function flags") end
  local flags = {}
  for i = 1, #t do
    if not FLAGS[t[i]] then fail("unknown flag given") end
    flags[#flags + 1] = t[i]
  end
  return concat(flags, " ")
end

local ARGUMENTS = { function_name = true, callback = true, description = true, flags = true }

function early.register_function(...)
  local n, name, callback, description, flags = select("#", ...), nil, nil, nil, ""
  if not registering then fail("redis.register_function can only be called on FUNCTION LOAD command") end
  if n < 1 or n > 2 then fail("wrong number of arguments to redis.register_function") end
  if n == 1 then
    local t = (...)
    if type(t) ~= "table" then
      fail("calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).")
    end
    for key in next, t do
      if not ARGUMENTS[key] then fail("unknown argument given to redis.register_function") end
    end
    name, callback, description = t.function_name, t.callback, t.description
    if t.flags ~= nil then flags = flags_of(t.flags) end
    if name == nil then fail("redis.register_function must get a function name argument") end
    if type(name) ~= "string" then fail("function_name argument given to redis.register_function must be a string") end
    if callback == nil then fail("redis.register_function must get a callback argument") end
    if type(callback) ~= "function" then fail("callback argument given to redis.register_function must be a function") end
    if type(description) == "number" then description = tostring(description) end
    if description ~= nil and type(description) ~= "string" then
      fail("description argument given to redis.register_function must be a string")
    end
  else
    name, callback = ...
    if type(name) ~= "string" then fail("first argument to redis.register_function must be a string") end
    if type(callback) ~= "function" then fail("second argument to redis.register_function must be a function") end
  end
  named(name)
  if registering.functions[name] then fail("Function already exists in the library") end
  if #registering.told >= 3 * MAX_FUNCTIONS then fail("more than " .. MAX_FUNCTIONS .. " functions") end
  registering.functions[name] = callback
  local told = registering.told
  told[#told + 1] = name
  told[#told + 1] = description or false
  told[#told + 1] = flags
end

-- Returns whether it went well; then name, description (false: none) and flags of each function, else the error.
function entry.load(sha, code)
  k.finish()
  local chunk, why = k.compile(code, "@user_function")
  if not chunk then return false, "Error compiling function: " .. tostring(why) end
  setfenv(chunk, front)
  k.source, k.short, k.body = "@user_function", "user_function", code
  registering, loading = { functions = {}, told = {} }, true
  k.begin()
  local ok, what = xpcall(chunk, k.handler)
  k.finish()
  loading = false
  local library = registering
  registering = nil
  if not ok then
    local text = type(what) == "table" and what.err or what
    return false, "Error registering functions: " .. tostring(text)
  end
  if #library.told == 0 then return false, "No functions registered" end
  library.code = code
  libraries[sha] = library
  return true, unpack(library.told)
end

function entry.drop(sha) libraries[sha] = nil end

function entry.fcall(place, proto, n, ...)
  local library, name = libraries[sub(place, 1, 40)], sub(place, 41)
  k.source, k.short, k.body = "@user_function", "user_function", library.code
  local keys, argv = k.arguments(n, ...)
  return k.run(library.functions[name], name, proto, keys, argv)
end
