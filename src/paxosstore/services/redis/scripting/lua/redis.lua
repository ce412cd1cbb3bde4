-- The table `redis`, and how a script is run: its calls, its result as a reply, its errors.
local k, host = ...

local type, error, select, unpack, tostring, tonumber, next = type, error, select, unpack, tostring, tonumber, next
local rawget, xpcall, setmetatable, getinfo = rawget, xpcall, setmetatable, debug.getinfo
local format, sub, find, byte, gsub, concat, floor = string.format, string.sub, string.find, string.byte, string.gsub, table.concat, math.floor
local call_host = host.call

local BULK, INTEGER, NOTHING, STATUS, ERROR, OTHER = 0, 1, 2, 3, 4, 5
local MAX_DEPTH, MAX_ARGUMENTS = 1000, 7000
local PIECE = 65536 -- bytes that a function of C goes through at one time

-- Numbers that are whole go as such, others with all their digits.
local function number_text(n)
  return format("%.17g", n)
end

-- A reply of several parts, as bytes -> what a script sees of it, and where the next one begins.
local parse

local function items(reply, at, n, resp)
  local t = {}
  for i = 1, n do
    t[i], at = parse(reply, at, resp)
  end
  return t, at
end

function parse(reply, at, resp)
  local kind = byte(reply, at)
  local stop = find(reply, "\r\n", at, true)
  local line, after = sub(reply, at + 1, stop - 1), stop + 2
  if kind == 36 then -- $
    local size = tonumber(line)
    if size < 0 then return false, after end
    return sub(reply, after, after + size - 1), after + size + 2
  elseif kind == 58 then -- :
    return tonumber(line), after
  elseif kind == 43 then -- +
    return { ok = line }, after
  elseif kind == 45 then -- -
    return { err = line }, after
  elseif kind == 42 or kind == 62 then -- * >
    local n = tonumber(line)
    if n < 0 then return false, after end
    return items(reply, after, n, resp)
  elseif kind == 95 then -- _
    return nil, after
  elseif kind == 35 then -- #
    return line == "t", after
  elseif kind == 44 then -- ,
    return { double = line == "inf" and 1 / 0 or line == "-inf" and -1 / 0 or tonumber(line) or 0 / 0 }, after
  elseif kind == 40 then -- (
    return { big_number = line }, after
  elseif kind == 61 then -- =
    local size = tonumber(line)
    local words = sub(reply, after, after + size - 1)
    return { verbatim_string = { format = sub(words, 1, 3), string = sub(words, 5) } }, after + size + 2
  elseif kind == 37 then -- %
    local map, at2 = {}, after
    for _ = 1, tonumber(line) do
      local key, value
      key, at2 = parse(reply, at2, resp)
      value, at2 = parse(reply, at2, resp)
      if key ~= nil then map[key] = value end
    end
    return { map = map }, at2
  elseif kind == 126 then -- ~
    local set, at2 = {}, after
    for _ = 1, tonumber(line) do
      local member
      member, at2 = parse(reply, at2, resp)
      if member ~= nil then set[member] = true end
    end
    return { set = set }, at2
  end
  error("a reply of an unknown kind", 0)
end

local MAX_BYTES = 16 * 1024 * 1024 -- of the words of one call: the host copies each of them
local TOO_LARGE = "ERR the arguments of one call are more than " .. MAX_BYTES .. " bytes"
local WRONG_ARGUMENT = "ERR Lua redis lib command arguments must be strings or integers"

-- Only strings go to the host: it makes nothing of Lua's that could fail where nothing can catch it.
local function ask(...)
  local n = select("#", ...)
  if n <= 3 then
    local a, b, c = ...
    if type(a) == "string" and (n < 2 or type(b) == "string") and (n < 3 or type(c) == "string") then
      if #a + (b and #b or 0) + (c and #c or 0) <= MAX_BYTES then return call_host(...) end
      return ERROR, TOO_LARGE
    end
    if n == 0 then return ERROR, "ERR Please specify at least one argument for this redis lib call" end
  elseif n > MAX_ARGUMENTS then
    return ERROR, "ERR too many arguments for one call: " .. MAX_ARGUMENTS .. " are possible"
  end
  local words, size = { ... }, 0
  for i = 1, n do
    local kind = type(words[i])
    if kind == "number" then
      words[i] = number_text(words[i])
    elseif kind ~= "string" then
      return ERROR, WRONG_ARGUMENT
    end
    size = size + #words[i]
  end
  if size > MAX_BYTES then return ERROR, TOO_LARGE end
  return call_host(unpack(words, 1, n))
end

local function answer(code, value)
  if code == BULK or code == INTEGER then return value end
  if code == NOTHING then
    if k.resp == 3 then return nil end
    return false
  end
  if code == STATUS then return { ok = value } end
  if code == ERROR then return { err = value, ignore_error_stats_update = true } end
  if code == OTHER then return (parse(value, 1)) end
  k.stop()
end

local function raised(result)
  if type(result) == "table" and rawget(result, "err") then error(result, 0) end
  return result
end

local redis = {}
k.redis = redis

function redis.call(...) return raised(answer(ask(...))) end
function redis.pcall(...) return answer(ask(...)) end

local function single(field, n, value)
  if n ~= 1 or type(value) ~= "string" then return { err = "ERR wrong number or type of arguments" } end
  return { [field] = value }
end

function redis.status_reply(...) return single("ok", select("#", ...), (...)) end

function redis.error_reply(...)
  local reply = single("err", select("#", ...), (...))
  local text = reply.err
  if byte(text, 1) == 45 then text = sub(text, 2) end
  if not find(text, " ", 1, true) then text = "ERR " .. text end
  local last = #text -- no pattern: "[\r\n]+$" is tried at each of many line ends, to their last one
  while last > 0 and (byte(text, last) == 10 or byte(text, last) == 13) do last = last - 1 end
  reply.err = sub(text, 1, last)
  return reply
end

local function fail(text) error({ err = "ERR " .. text }, 0) end

function redis.sha1hex(...)
  if select("#", ...) ~= 1 then fail("wrong number of arguments") end
  return host.sha1hex(tostring((...)))
end

function redis.log(...)
  if select("#", ...) < 2 then fail("redis.log() requires two arguments or more.") end
  local level = (...)
  if type(level) ~= "number" then fail("First argument must be a number (log level).") end
  if level < 0 or level > 3 then fail("Invalid debug level.") end
  local words = {}
  for i = 2, select("#", ...) do words[#words + 1] = tostring((select(i, ...))) end
  host.log(floor(level), sub(concat(words, " "), 1, 1024))
end

function redis.setresp(...)
  if select("#", ...) ~= 1 then fail("redis.setresp() requires one argument.") end
  local version = (...)
  if version ~= 2 and version ~= 3 then fail("RESP version must be 2 or 3.") end
  k.resp = version
  host.setresp(version)
end

function redis.set_repl(...)
  if select("#", ...) ~= 1 then fail("redis.set_repl() requires one argument.") end
  local flags = (...)
  if type(flags) ~= "number" or flags < 0 or flags > 3 then
    fail("Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
  end
end

function redis.acl_check_cmd(...)
  if select("#", ...) == 0 then fail("Please specify at least one argument for this redis lib call") end
  if not host.is_command(tostring((...))) then fail("Invalid command passed to redis.acl_check_cmd()") end
  return true
end

function redis.replicate_commands() return true end
function redis.breakpoint() return false end
function redis.debug() end

redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING = 0, 1, 2, 3
redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL = 0, 1, 2, 2, 3
redis.REDIS_VERSION, redis.REDIS_VERSION_NUM = host.version, host.version_number

-- What a script returns, as a reply: `proto` is the client's.
local function one_line(text)
  if not find(text, "\n", 1, true) and not find(text, "\r", 1, true) then return text end
  local parts = {}
  for at = 1, #text, PIECE do
    k.look()
    parts[#parts + 1] = gsub(sub(text, at, at + PIECE - 1), "[\r\n]", " ")
  end
  return concat(parts)
end

local function bulk(text) return "$" .. #text .. "\r\n" .. text .. "\r\n" end

local function double(number, proto)
  local text = number == 1 / 0 and "inf" or number == -1 / 0 and "-inf" or number ~= number and "nan" or format("%.17g", number)
  return proto == 3 and "," .. text .. "\r\n" or bulk(text)
end

local encode

local function members(out, t, with_values, proto, depth)
  local n, head = 0, #out + 1
  out[head] = ""
  for key, value in next, t do
    n = n + 1
    encode(out, key, proto, depth)
    if with_values then encode(out, value, proto, depth) end
  end
  return n, head
end

function encode(out, value, proto, depth)
  local kind, at = type(value), #out + 1
  if kind == "string" then
    out[at] = bulk(value)
  elseif kind == "number" then
    out[at] = format(":%d\r\n", value)
  elseif kind == "boolean" then
    if k.resp == 3 then
      out[at] = proto == 3 and (value and "#t\r\n" or "#f\r\n") or (value and ":1\r\n" or ":0\r\n")
    else
      out[at] = value and ":1\r\n" or (proto == 3 and "_\r\n" or "$-1\r\n")
    end
  elseif kind ~= "table" then
    out[at] = proto == 3 and "_\r\n" or "$-1\r\n"
  elseif depth > MAX_DEPTH then
    out[at] = "-ERR reached lua stack limit\r\n"
  else
    depth = depth + 1
    local field = rawget(value, "err")
    if type(field) == "string" then
      out[at] = "-" .. one_line(field) .. "\r\n"
      return
    end
    field = rawget(value, "ok")
    if type(field) == "string" then
      out[at] = "+" .. one_line(field) .. "\r\n"
      return
    end
    field = rawget(value, "double")
    if type(field) == "number" then
      out[at] = double(field, proto)
      return
    end
    field = rawget(value, "map")
    if type(field) == "table" then
      local n, head = members(out, field, true, proto, depth)
      out[head] = proto == 3 and "%" .. n .. "\r\n" or "*" .. 2 * n .. "\r\n"
      return
    end
    field = rawget(value, "set")
    if type(field) == "table" then
      local n, head = members(out, field, false, proto, depth)
      out[head] = (proto == 3 and "~" or "*") .. n .. "\r\n"
      return
    end
    field = rawget(value, "big_number")
    if type(field) == "string" or type(field) == "number" then
      local text = one_line(tostring(field))
      out[at] = proto == 3 and "(" .. text .. "\r\n" or bulk(text)
      return
    end
    field = rawget(value, "verbatim_string")
    if type(field) == "table" and type(rawget(field, "string")) == "string" and type(rawget(field, "format")) == "string" then
      local text = rawget(field, "string")
      out[at] = proto == 3 and "=" .. #text + 4 .. "\r\n" .. sub(rawget(field, "format") .. "   ", 1, 3) .. ":" .. text .. "\r\n" or bulk(text)
      return
    end
    local n = 0
    out[at] = ""
    while true do
      local item = rawget(value, n + 1)
      if item == nil then break end
      n = n + 1
      encode(out, item, proto, depth)
    end
    out[at] = "*" .. n .. "\r\n"
  end
end

local function reply_of(value, proto)
  local kind = type(value)
  if kind == "string" then return bulk(value) end
  if kind == "number" then return format(":%d\r\n", value) end
  local out = {}
  encode(out, value, proto, 0)
  return concat(out)
end

-- Errors: where they come from is added as they pass, then they become a reply.
local function handler(what)
  local source, _, line = k.place()
  what = k.placed(what)
  if type(what) ~= "table" then what = { err = "ERR " .. tostring(what) } end
  if not k.protected[what] then
    k.rawset(what, "source", source)
    k.rawset(what, "line", line)
  end
  return what
end

local function refusal(what, name)
  if type(what) ~= "table" then return format("-ERR Error running script %s, %s\r\n", name, one_line(sub(tostring(what), 1, 100))) end
  local text, source, line = rawget(what, "err"), rawget(what, "source"), rawget(what, "line")
  text = (type(text) == "string" or type(text) == "number") and tostring(text) or "ERR unknown error"
  if source and line then text = format("%s script: %s, on %s:%s.", text, name, tostring(source), tostring(line)) end
  return "-" .. one_line(sub(text, 1, 4096)) .. "\r\n"
end

local function lost()
  local text, line = k.body or "", 1
  local last = 0
  while true do
    local at = find(text, "return", last + 1, true)
    if not at then break end
    last = at
  end
  for _ in k.gmatch(sub(text, 1, last), "\n") do line = line + 1 end
  return k.source, k.short, line
end
k.lost = lost

local scripts, libraries = {}, {} -- what is compiled: sha -> function; library -> its functions
local globals = k.globals

-- Returns whether it went well, and the reply.
local function run(f, name, proto, keys, argv)
  local ok, result
  k.resp = 2
  for i = 1, #k.resets do k.resets[i]() end
  k.begin()
  if argv then
    ok, result = xpcall(function() return f(keys, argv) end, handler)
  else
    ok, result = xpcall(f, handler)
  end
  if not ok then
    result = refusal(result, name)
  else
    result = reply_of(result, proto)
  end
  k.finish()
  return ok, result
end

local function split(n, ...)
  local keys, argv = {}, { ... }
  if n == 0 then return keys, argv end
  local total = select("#", ...)
  for i = 1, n do keys[i] = argv[i] end
  for i = 1, total do argv[i] = argv[i + n] end
  return keys, argv
end

local pending = { n = 0 } -- arguments that are more than one call takes

function k.more(...)
  local n = pending.n
  for i = 1, select("#", ...) do pending[n + i] = (select(i, ...)) end
  pending.n = n + select("#", ...)
end

local function arguments(n, ...)
  if pending.n == 0 then return split(n, ...) end
  local all = pending
  pending = { n = 0 }
  local keys, argv = {}, {}
  for i = 1, n do keys[i] = all[i] end
  for i = n + 1, all.n do argv[i - n] = all[i] end
  return keys, argv
end

local entry = {}

-- Whether it compiles: nil, or why not.
function entry.compile(sha, body)
  k.finish()
  local f, why = k.compile(body, "@user_script")
  if not f then return tostring(why) end
  scripts[sha] = { f, body }
  return nil
end

function entry.forget(sha) scripts[sha] = nil end

function entry.script(sha, proto, n, ...)
  local script = scripts[sha]
  k.source, k.short, k.body = "@user_script", "user_script", script[2]
  globals.KEYS, globals.ARGV = arguments(n, ...)
  local ok, reply = run(script[1], sha, proto)
  globals.KEYS, globals.ARGV = nil, nil
  return ok, reply
end
entry.more = k.more
k.entry, k.libraries, k.run, k.arguments, k.handler, k.refusal = entry, libraries, run, arguments, handler, refusal
return entry
