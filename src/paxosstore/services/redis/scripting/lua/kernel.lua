-- Puts the parts together; returns the functions by which Python runs scripts.
local host, left, chunks, quick = ...

local k
local select, next, type = select, next, type

-- What the host says no to ends the script.
local function given(value, ...)
  if value == false then k.stop() end
  return value, ...
end

for name, f in next, host do
  if name ~= "call" and type(f) == "userdata" then
    host[name] = function(...) return given(f(...)) end
  end
end

k = { next = next, pcall = pcall, gmatch = string.gmatch, protected = {}, resets = {}, max_string = 16 * 1024 * 1024 }
k.random, k.seed = host.random, function(seed) host.seed(seed) end
k.resp = 2
setmetatable(k.protected, { __mode = "k" })

collectgarbage("setpause", 150)
collectgarbage("setstepmul", 1000000) -- a collection in one step: there is none in an emergency, so none may be late

local guard, patterns, sandbox, redis, json, msgpack, libraries, functions = unpack(chunks)
patterns(k)
guard(k, left, quick)

function k.plain_find(s, pattern, init)
  init = init or 1
  if init < 0 then init = #s + init + 1 end
  if init < 1 then init = 1 end
  if init > #s + 1 then init = #s + 1 end
  local at = host.plain_find(s, pattern, init)
  if at == 0 then return nil end
  return at, at + #pattern - 1
end

sandbox(k)
local entry = redis(k, host)
json(k)
msgpack(k, host)
libraries(k, host, entry)
k.globals.redis = k.protect(k.redis)
functions(k, entry)
k.seal()
return entry
