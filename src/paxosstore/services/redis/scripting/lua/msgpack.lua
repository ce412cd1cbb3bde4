-- The library cmsgpack: what lua-cmsgpack 0.4 does, with its texts.
local k, host = ...

local type, error, select, next, tostring, unpack = type, error, select, next, tostring, unpack
local byte, char, sub, concat, floor = string.byte, string.char, string.sub, table.concat, math.floor
local raise = k.raise
local MAX_NESTING, MAX_RESULTS = 16, 7000

local function big(n, size)
  if size == 8 then
    local high = floor(n / 4294967296)
    return big(high % 4294967296, 4) .. big(n - high * 4294967296, 4)
  end
  if size == 4 then
    return char(floor(n / 16777216) % 256, floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
  end
  return size == 2 and char(floor(n / 256) % 256, n % 256) or char(n % 256)
end

local function integer(n)
  if n >= 0 then
    if n <= 127 then return char(n) end
    if n <= 0xff then return "\204" .. big(n, 1) end
    if n <= 0xffff then return "\205" .. big(n, 2) end
    if n <= 0xffffffff then return "\206" .. big(n, 4) end
    return "\207" .. big(n, 8)
  end
  if n >= -32 then return char(n % 256) end
  if n >= -128 then return "\208" .. big(n, 1) end
  if n >= -32768 then return "\209" .. big(n, 2) end
  if n >= -2147483648 then return "\210" .. big(n, 4) end
  return "\211" .. big(n, 8)
end

local function head(n, short, most, long16, long32)
  if n <= most then return char(short + n) end
  if n <= 65535 then return long16 .. big(n, 2) end
  return long32 .. big(n, 4)
end

local function is_array(t)
  local count, most = 0, 0
  for key in next, t do
    if type(key) ~= "number" or key <= 0 or floor(key) ~= key then return false end
    if key > most then most = key end
    count = count + 1
  end
  return most == count
end

local function pack(out, value, level)
  local kind, at = type(value), #out + 1
  if kind == "string" then
    local n = #value
    if n < 32 then
      out[at] = char(160 + n)
    elseif n <= 0xff then
      out[at] = "\217" .. big(n, 1)
    elseif n <= 0xffff then
      out[at] = "\218" .. big(n, 2)
    else
      out[at] = "\219" .. big(n, 4)
    end
    out[at + 1] = value
  elseif kind == "boolean" then
    out[at] = value and "\195" or "\194"
  elseif kind == "number" then
    if floor(value) == value and value >= -9223372036854775808 and value < 9223372036854775808 then
      out[at] = integer(value)
    else
      out[at] = host.double(value)
    end
  elseif kind == "table" and level < MAX_NESTING then
    value = k.protected[value] or value
    if is_array(value) then
      local n = #value
      out[at] = head(n, 144, 15, "\220", "\221")
      for i = 1, n do pack(out, value[i], level + 1) end
    else
      local n = 0
      for _ in next, value do n = n + 1 end
      out[at] = head(n, 128, 15, "\222", "\223")
      for key, item in next, value do
        pack(out, key, level + 1)
        pack(out, item, level + 1)
      end
    end
  else
    out[at] = "\192"
  end
end

local lib = { _NAME = "cmsgpack", _VERSION = "lua-cmsgpack 0.4.0", _COPYRIGHT = "Copyright (C) 2012, Redis Ltd.", _DESCRIPTION = "MessagePack C implementation for Lua" }

function lib.pack(...)
  local n = select("#", ...)
  if n == 0 then raise("bad argument #0 to 'pack' (MessagePack pack needs input.)") end
  local out = {}
  for i = 1, n do pack(out, (select(i, ...)), 0) end
  return concat(out)
end

local function need(s, at, size)
  if #s - at + 1 < size then raise("Missing bytes in input.") end
end

local function unsigned(s, at, size)
  local a, b, c, d = byte(s, at, at + 3)
  if size == 1 then return a end
  if size == 2 then return a * 256 + b end
  local low = ((a * 256 + b) * 256 + c) * 256 + d
  if size == 4 then return low end
  return low * 4294967296 + unsigned(s, at + 4, 4)
end

local function signed(s, at, size)
  local a = byte(s, at)
  if size == 8 then
    local high = unsigned(s, at, 4)
    if high >= 2147483648 then high = high - 4294967296 end
    return high * 4294967296 + unsigned(s, at + 4, 4)
  end
  local n = unsigned(s, at, size)
  return a >= 128 and n - 256 ^ size or n
end

local one

local function text(s, at, n)
  need(s, at, n)
  return sub(s, at, at + n - 1), at + n
end

local function array(s, at, n)
  local t = {}
  for i = 1, n do t[i], at = one(s, at) end
  return t, at
end

local function map(s, at, n)
  local t = {}
  for _ = 1, n do
    local key, value
    key, at = one(s, at)
    value, at = one(s, at)
    if key == nil then raise("table index is nil") end
    if key ~= key then raise("table index is NaN") end
    t[key] = value
  end
  return t, at
end

local NUMBERS = { [204] = { unsigned, 1 }, [205] = { unsigned, 2 }, [206] = { unsigned, 4 }, [207] = { signed, 8 }, [208] = { signed, 1 }, [209] = { signed, 2 }, [210] = { signed, 4 }, [211] = { signed, 8 } }
local SIZED = { [217] = { text, 1 }, [218] = { text, 2 }, [219] = { text, 4 }, [220] = { array, 2 }, [221] = { array, 4 }, [222] = { map, 2 }, [223] = { map, 4 } }

function one(s, at)
  need(s, at, 1)
  local c = byte(s, at)
  local number = NUMBERS[c]
  if number then
    need(s, at, 1 + number[2])
    return number[1](s, at + 1, number[2]), at + 1 + number[2]
  end
  local sized = SIZED[c]
  if sized then
    need(s, at, 1 + sized[2])
    return sized[1](s, at + 1 + sized[2], unsigned(s, at + 1, sized[2]))
  end
  if c == 192 then return nil, at + 1 end
  if c == 195 then return true, at + 1 end
  if c == 194 then return false, at + 1 end
  if c == 202 or c == 203 then
    local size = c == 202 and 4 or 8
    need(s, at, 1 + size)
    return host.undouble(sub(s, at + 1, at + size)), at + 1 + size
  end
  if c < 128 then return c, at + 1 end
  if c >= 224 then return c - 256, at + 1 end
  if c >= 160 and c < 192 then return text(s, at + 1, c - 160) end
  if c >= 144 and c < 160 then return array(s, at + 1, c - 144) end
  if c >= 128 and c < 144 then return map(s, at + 1, c - 128) end
  raise("Bad data format in input.")
end

local function unpack_all(name, s, limit, offset)
  if type(s) == "number" then s = tostring(s) end
  if type(s) ~= "string" then k.bad(1, name, "string", s) end
  local everything = limit == 0 and offset == 0
  if offset < 0 or limit < 0 then raise("Invalid request to unpack with offset of " .. offset .. " and limit of " .. #s .. ".") end
  if offset > #s then raise("Start offset " .. offset .. " greater than input length " .. #s .. ".") end
  local results, n, at = {}, everything and 0 or 1, offset + 1
  local most = everything and MAX_RESULTS or limit
  local count = 0
  while at <= #s and count < most do
    n, count = n + 1, count + 1
    if n > MAX_RESULTS then break end
    results[n], at = one(s, at)
  end
  if at <= #s and n >= MAX_RESULTS then
    raise("too many return values at once; use unpack_one or unpack_limit instead.")
  end
  if not everything then results[1] = at > #s and -1 or at - 1 end
  return unpack(results, 1, n)
end

local function whole(name, at, value, default)
  if value == nil and default then return default end
  if type(value) ~= "number" then k.bad(at, name, "number", value) end
  return value >= 0 and floor(value) or -floor(-value)
end

function lib.unpack(s) return unpack_all("unpack", s, 0, 0) end
function lib.unpack_one(s, offset) return unpack_all("unpack_one", s, 1, whole("unpack_one", 2, offset, 0)) end
function lib.unpack_limit(s, limit, offset)
  return unpack_all("unpack_limit", s, whole("unpack_limit", 2, limit), whole("unpack_limit", 3, offset, 0))
end
k.globals.cmsgpack = k.protect(lib)
