-- What bounds a script, whatever it catches: a count hook in each coroutine, a finalizer that runs at every garbage
-- collection, and the functions of C that no hook interrupts, in forms that look at the time or can be stopped.
-- Nothing here uses a global once it is loaded: a script may not reach what it could change.
local k, over, quick = ...

local clock, sethook, getinfo, newproxy = os.clock, debug.sethook, debug.getinfo, newproxy
local type, error, select, unpack, tostring, pcall, getmetatable = type, error, select, unpack, tostring, pcall, getmetatable
local format, sub, rep, gsub = string.format, string.sub, string.rep, string.gsub
local tonumber, floor = tonumber, math.floor
local EVERY = 250 -- instructions between two looks at the time: each may copy a string as large as the memory allows
local STOP = "the script is stopped"

local running, dead, limit = false, false, nil

-- Whether the script has to end. The clock of the process is a cheap bound of what `over` counts, the time of this thread.
local function stopped()
  if dead then return true end
  if not running then return false end
  local now = clock()
  if not limit or now >= limit then
    local left = over()
    if left <= 0 then
      dead = true
      return true
    end
    limit = now + left
  end
  return false
end

function k.is_dead() return dead end

-- Once it has to end, every instruction raises: no pcall, coroutine or handler gets further than its next one.
local function hook()
  if stopped() then
    sethook(hook, "", 1)
    error(STOP, 0)
  end
end

function k.stop()
  dead = true
  sethook(hook, "", 1)
  error(STOP, 0)
end

local function look()
  if stopped() then
    sethook(hook, "", 1)
    error(STOP, 0)
  end
end
k.look = look

local function sentinel()
  getmetatable(newproxy(true)).__gc = function()
    if stopped() then sethook(hook, "", 1) end
    sentinel()
  end
end
sentinel()
sethook(hook, "", EVERY)

function k.begin()
  running, limit = true, nil
end

function k.finish()
  running = false
end

-- Where the script is, as Lua says it: "user_script:1:". A tail call leaves no trace: then what k.lost says.
function k.place()
  for level = 2, 30 do
    local i = getinfo(level, "Sl")
    if not i then break end
    if i.what ~= "C" and i.what ~= "tail" and i.source ~= "=scripting" then return i.source, i.short_src, i.currentline end
  end
  return k.lost()
end

local function raise(text)
  local _, short, line = k.place()
  error(format("%s:%d: %s", short, line, text), 0)
end
k.raise = raise

local function bad(at, name, expected, got)
  raise(format("bad argument #%d to '%s' (%s expected, got %s)", at, name, expected, type(got)))
end
k.bad = bad

-- An error of a function of C that is called here says where that was: say where the script is.
function k.placed(what)
  if type(what) ~= "string" or sub(what, 1, 10) ~= "scripting:" then return what end
  local _, short, line = k.place()
  return (gsub(what, "^scripting:%d+:", short .. ":" .. line .. ":"))
end

local function text(at, name, value)
  if type(value) == "string" then return value end
  if type(value) == "number" then return tostring(value) end
  bad(at, name, "string", value)
end

-- Coroutines: each has the hook, and whoever resumes one that was stopped is stopped too.
local create, resume, status, yield = coroutine.create, coroutine.resume, coroutine.status, coroutine.yield

local function new(f)
  local co = create(f)
  sethook(co, hook, "", EVERY)
  return co
end

local function resumed(...)
  look()
  return ...
end

local function continue(co, ...)
  look()
  return resumed(resume(co, ...))
end

local function outcome(ok, ...)
  if ok then return ... end
  local what = k.placed((...))
  if type(what) == "string" then raise(what) end
  error(what, 0)
end

local function tidy(ok, ...)
  if ok then return true, ... end
  return false, k.placed((...))
end

k.coroutine = {
  create = function(f)
    if type(f) ~= "function" then bad(1, "create", "Lua function", f) end
    return new(f)
  end,
  wrap = function(f)
    if type(f) ~= "function" then bad(1, "wrap", "Lua function", f) end
    local co = new(f)
    return function(...) return outcome(continue(co, ...)) end
  end,
  resume = function(co, ...)
    if type(co) ~= "thread" then bad(1, "resume", "coroutine", co) end
    return tidy(continue(co, ...))
  end,
  running = coroutine.running,
  status = status,
  yield = yield,
}

-- Strings. A pattern may take time that grows with a power of the text's length: from a bound on, the matcher in
-- patterns.lua does what the one in C would do.
local find, match, gmatch, gsub, lower = string.find, string.match, string.gmatch, string.gsub, string.lower
local patterns = k.patterns(look)
local QUICK, QUICK_GSUB, PLAIN = quick, quick / 8, quick * 10

local function steps(s, pattern)
  local n, by = #s + 1, patterns.cost(pattern)
  return n ^ by.power * by.factor * (#pattern > 16 and #pattern / 16 or 1)
end

local function found(name, raw, slow)
  return function(s, pattern, init, plain)
    s, pattern = text(1, name, s), text(2, name, pattern)
    if init ~= nil and type(init) ~= "number" and not tonumber(init) then bad(3, name, "number", init) end
    if plain or (name == "find" and patterns.is_plain(pattern)) then
      if #s * #pattern <= PLAIN then return raw(s, pattern, init, true) end
      look()
      return k.plain_find(s, pattern, init)
    end
    if steps(s, pattern) <= QUICK then
      if #s > 10000 then look() end
      return raw(s, pattern, init)
    end
    return slow(s, pattern, init)
  end
end

local lib = {}
for name, f in k.next, string do lib[name] = f end
k.string = lib
lib.dump = nil
lib.find = found("find", find, patterns.find)
lib.match = found("match", match, patterns.match)

function lib.gmatch(s, pattern)
  s, pattern = text(1, "gmatch", s), text(2, "gmatch", pattern)
  if steps(s, pattern) <= QUICK then return gmatch(s, pattern) end
  return patterns.gmatch(s, pattern)
end
lib.gfind = lib.gmatch

function lib.gsub(s, pattern, by, most)
  s, pattern = text(1, "gsub", s), text(2, "gsub", pattern)
  local kind = type(by)
  if kind ~= "string" and kind ~= "number" and kind ~= "function" and kind ~= "table" then
    bad(3, "gsub", "string/function/table", by)
  end
  if most ~= nil and type(most) ~= "number" and not tonumber(most) then bad(4, "gsub", "number", most) end
  if steps(s, pattern) <= QUICK_GSUB then return gsub(s, pattern, by, most) end
  return patterns.gsub(s, pattern, by, most)
end

function lib.rep(s, n)
  s = text(1, "rep", s)
  if type(n) ~= "number" and not tonumber(n) then bad(2, "rep", "number", n) end
  n = n + 0
  if s == "" or n < 1 or n ~= n then return "" end
  if n * #s > k.max_string then error("not enough memory", 0) end
  if n * #s <= 10000 then return rep(s, n) end
  local size = floor(n) * #s
  while 2 * #s <= size do -- in C it takes its time for each, however short it is
    look()
    s = s .. s
  end
  return #s < size and s .. sub(s, 1, size - #s) or s
end

-- Tables: what moves or compares every element looks at the time, and a sort is done with a comparison in Lua.
local insert, remove, sort, concat, maxn = table.insert, table.remove, table.sort, table.concat, table.maxn
local MANY = 1000

local function sized(name, t)
  if type(t) ~= "table" then bad(1, name, "table", t) end
  if k.protected[t] then error("Attempt to modify a readonly table", 0) end
  if #t > MANY then look() end
end

local tab = {}
for name, f in k.next, table do tab[name] = f end
k.table = tab

function tab.insert(t, ...)
  sized("insert", t)
  local n = select("#", ...)
  if n == 1 then
    t[#t + 1] = (...)
  elseif n == 2 then
    local at = (...)
    if type(at) ~= "number" and not tonumber(at) then bad(2, "insert", "number", at) end
    return insert(t, ...)
  else
    raise("wrong number of arguments to 'insert'")
  end
end

function tab.remove(t, at)
  sized("remove", t)
  if at == nil then return remove(t) end
  if type(at) ~= "number" and not tonumber(at) then bad(2, "remove", "number", at) end
  return remove(t, at)
end

function tab.sort(t, before)
  sized("sort", t)
  if before ~= nil and type(before) ~= "function" then bad(2, "sort", "function", before) end
  if not before then
    if #t <= MANY then return sort(t) end
    return sort(t, function(a, b) return a < b end)
  end
  return sort(t, function(a, b) return before(a, b) end)
end

function tab.concat(t, separator, first, last)
  if type(t) ~= "table" then bad(1, "concat", "table", t) end
  first, last = first or 1, last or #t
  if type(first) ~= "number" or type(last) ~= "number" or last - first < MANY then
    return concat(t, separator, first, last)
  end
  local parts = {}
  for at = first, last, MANY do
    look()
    parts[#parts + 1] = concat(t, separator, at, at + MANY - 1 < last and at + MANY - 1 or last)
  end
  return concat(parts, separator)
end

function tab.maxn(t)
  if type(t) ~= "table" then bad(1, "maxn", "table", t) end
  look()
  return maxn(t)
end

function tab.foreach(t, f)
  if type(t) ~= "table" then bad(1, "foreach", "table", t) end
  if type(f) ~= "function" then bad(2, "foreach", "function", f) end
  for key, value in k.next, t do
    local result = f(key, value)
    if result ~= nil then return result end
  end
end

function tab.foreachi(t, f)
  if type(t) ~= "table" then bad(1, "foreachi", "table", t) end
  if type(f) ~= "function" then bad(2, "foreachi", "function", f) end
  for i = 1, #t do
    local result = f(i, t[i])
    if result ~= nil then return result end
  end
end
