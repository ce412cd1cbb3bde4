-- What a script sees: the globals, all of them read-only, and errors as Redis words them.
-- A protected table is an empty one in front of the real one; whatever could get around its metatable knows of it.
local k = ...

local type, error, select, tostring, rawget, rawset, rawequal = type, error, select, tostring, rawget, rawset, rawequal
local next, pcall, xpcall, setmetatable, getmetatable, loadstring, setfenv = next, pcall, xpcall, setmetatable, getmetatable, loadstring, setfenv
local byte, concat, find, gsub, floor = string.byte, table.concat, string.find, string.gsub, math.floor
local tonumber = tonumber
k.rawset, k.rawget = rawset, rawget
local READONLY = "Attempt to modify a readonly table"

local protected = k.protected -- what a script sees -> what is behind it

local ours = {} -- functions of the libraries: called by pcall itself, they have no place in a script

local function refuse() error(READONLY, 2) end

local function protect(real, missing, front)
  front = front or {}
  protected[front] = real
  local shown = {}
  protected[shown] = {}
  setmetatable(shown, { __newindex = refuse, __metatable = shown })
  if missing then setmetatable(real, { __index = missing }) end
  for _, f in next, real do
    if type(f) == "function" then ours[f] = true end
  end
  return setmetatable(front, { __index = real, __newindex = refuse, __metatable = shown })
end
k.protect = protect

local globals = {}
k.globals = globals

local function fixed(ok, ...)
  k.look()
  if ok then return true, ... end
  local what = k.placed((...))
  if type(what) == "table" and not protected[what] then
    local text = rawget(what, "err")
    if type(text) == "string" or type(text) == "number" then return false, tostring(text) end
  end
  return false, what
end

local function bare(ok, ...)
  local what = (...)
  if ok or type(what) ~= "string" then return ok, ... end
  return false, (gsub(what, "^[^:]+:%d+: ", ""))
end

function globals.pcall(...)
  local n, f = select("#", ...), (...)
  if n == 0 then return false, "attempt to call a boolean value" end
  if f ~= nil and ours[f] then return bare(fixed(pcall(...))) end
  return fixed(pcall(...))
end

local function known(...)
  k.look()
  return ...
end

function globals.xpcall(f, handler)
  -- A handler runs where the error was raised: in the hook, where no hook is called, if that stops the script.
  return known(xpcall(f, function(what)
    if k.is_dead() then return what end
    return handler(k.placed(what))
  end))
end

function globals.getmetatable(t)
  if protected[t] and t ~= k.front then return nil end
  return getmetatable(t)
end

function globals.setmetatable(t, m)
  if type(t) ~= "table" then k.bad(1, "setmetatable", "table", t) end
  if protected[t] then error(READONLY, 0) end
  if m ~= nil and type(m) ~= "table" then k.bad(2, "setmetatable", "nil or table", m) end
  return setmetatable(t, m)
end

function globals.rawset(t, key, value)
  if type(t) ~= "table" then k.bad(1, "rawset", "table", t) end
  if protected[t] then error(READONLY, 0) end
  return rawset(t, key, value)
end

function globals.rawget(t, key)
  if type(t) ~= "table" then k.bad(1, "rawget", "table", t) end
  return rawget(protected[t] or t, key)
end

function globals.next(t, key)
  if type(t) ~= "table" then k.bad(1, "next", "table", t) end
  if key == nil then k.look() end
  return next(protected[t] or t, key)
end

function globals.pairs(t)
  if type(t) ~= "table" then k.bad(1, "pairs", "table", t) end
  k.look()
  local real = protected[t]
  if not real then return next, t, nil end
  return function(_, key) return next(real, key) end, t, nil
end

local MAX_CHUNK, MAX_JUMPS = 262144, 8192

-- A compiler works through what it is given in one go: its text is bounded, and so is what it links into one list.
local function compile(text, name)
  if byte(text, 1) == 27 then return nil, "bytecode is not accepted" end
  if #text > MAX_CHUNK then return nil, "a script of more than " .. MAX_CHUNK .. " bytes" end
  if #text > MAX_JUMPS then
    local jumps, at = 0, 1
    for _, word in next, { "and", "or", "else", "break" } do
      at = 1
      while true do
        local _, last = find(text, word, at, true)
        if not last then break end
        jumps, at = jumps + 1, last + 1
      end
    end
    if jumps > MAX_JUMPS then return nil, "a script with more than " .. MAX_JUMPS .. " conditions" end
  end
  k.look()
  local chunk, why = loadstring(text, name)
  if chunk then setfenv(chunk, k.front) end
  return chunk, why
end
k.compile = compile

function globals.loadstring(text, name)
  if type(text) ~= "string" then k.bad(1, "loadstring", "string", text) end
  return compile(text, name or text)
end

function globals.load(f, name)
  if type(f) ~= "function" then k.bad(1, "load", "function", f) end
  local parts, size = {}, 0
  while true do
    local part = f()
    if part == nil or part == "" then break end
    if type(part) ~= "string" then return nil, "reader function must return a string" end
    size = size + #part
    if size > MAX_CHUNK then return nil, "a script of more than " .. MAX_CHUNK .. " bytes" end
    parts[#parts + 1] = part
  end
  return compile(concat(parts), name or "=(load)")
end

local collect = collectgarbage

function globals.collectgarbage(what)
  what = what or "collect"
  if what == "count" then return collect("count") end
  if what == "collect" or what == "step" or what == "setpause" or what == "setstepmul" or what == "stop" or what == "restart" then
    return 0
  end
  k.raise("bad argument #1 to 'collectgarbage' (invalid option '" .. tostring(what) .. "')")
end

for name, f in next, {
  assert = assert,
  error = error,
  gcinfo = gcinfo,
  ipairs = ipairs,
  rawequal = rawequal,
  select = select,
  tonumber = tonumber,
  tostring = tostring,
  type = type,
  unpack = unpack,
} do
  globals[name] = f
end
globals._VERSION = _VERSION
globals.string = protect(k.string)
globals.table = protect(k.table)
globals.coroutine = protect(k.coroutine)
globals.os = protect({ clock = os.clock })

-- The generator of Redis: the same numbers in every script, unless it sets a seed.
local math_ = {}
for name, f in next, math do math_[name] = f end

function math_.random(low, high)
  local r = k.random()
  if low == nil then return r end
  if type(low) ~= "number" and not tonumber(low) then k.bad(1, "random", "number", low) end
  low = floor(low)
  if high == nil then
    if low < 1 then k.raise("bad argument #1 to 'random' (interval is empty)") end
    return floor(r * low) + 1
  end
  if type(high) ~= "number" and not tonumber(high) then k.bad(2, "random", "number", high) end
  high = floor(high)
  if low > high then k.raise("bad argument #2 to 'random' (interval is empty)") end
  return floor(r * (high - low + 1)) + low
end

function math_.randomseed(seed)
  if type(seed) ~= "number" and not tonumber(seed) then k.bad(1, "randomseed", "number", seed) end
  k.seed(seed + 0)
end
globals.math = protect(math_)

-- The strings' own metatable, as a script may see it.
local meta = getmetatable("")
meta.__index = k.string
local shown = {}
protected[shown] = { __index = globals.string }
meta.__metatable = setmetatable(shown, { __index = protected[shown], __newindex = refuse, __metatable = false })

-- The globals of a script are such a front too. Lua's own table of globals is left empty: the host looks into it.
local _G = _G

function k.seal()
  k.front = protect(globals, function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end)
  globals._G = k.front
  local names = {}
  for name in next, _G do names[#names + 1] = name end
  for i = 1, #names do _G[names[i]] = nil end
end
