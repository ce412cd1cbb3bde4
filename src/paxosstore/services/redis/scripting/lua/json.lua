-- The library cjson: what lua-cjson 2.1 does, with its texts. Settings last for one script.
local k = ...

local type, error, select, tostring, tonumber, next, rawget, rawset = type, error, select, tostring, tonumber, next, rawget, rawset
local byte, char, sub, find, gsub, format, concat, floor = string.byte, string.char, string.sub, string.find, string.gsub, string.format, table.concat, math.floor
local huge = math.huge
local raise = k.raise

local null = newproxy(false)

local DEFAULTS = {
  encode_sparse_convert = false,
  encode_sparse_ratio = 2,
  encode_sparse_safe = 10,
  encode_max_depth = 1000,
  decode_max_depth = 1000,
  encode_invalid_numbers = false,
  decode_invalid_numbers = true,
  encode_keep_buffer = true,
  encode_number_precision = 14,
}
local PIECE = 65536 -- bytes between two looks at the time
local MOST_DEPTH = 5000 -- whatever is set: Lua's own stack ends

local function new()
  local cfg, lib = {}, { _NAME = "cjson", _VERSION = "2.1.0", null = null }
  local touched

  local function reset()
    if touched == false then return end
    for name, value in next, DEFAULTS do cfg[name] = value end
    touched = false
  end
  reset()
  k.resets[#k.resets + 1] = reset

  local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["/"] = "\\/", ["\b"] = "\\b", ["\t"] = "\\t", ["\n"] = "\\n", ["\f"] = "\\f", ["\r"] = "\\r" }
  for c = 0, 31 do
    local letter = char(c)
    escapes[letter] = escapes[letter] or format("\\u%04x", c)
  end
  escapes[char(127)] = "\\u007f"

  local function exception(value, why)
    local kind = value == null and "userdata" or type(value)
    raise("Cannot serialise " .. kind .. ": " .. why)
  end

  local function text(s)
    if #s <= PIECE then return '"' .. gsub(s, '[%z\1-\31"\\/\127]', escapes) .. '"' end
    local parts = {}
    for at = 1, #s, PIECE do
      k.look()
      parts[#parts + 1] = gsub(sub(s, at, at + PIECE - 1), '[%z\1-\31"\\/\127]', escapes)
    end
    return '"' .. concat(parts) .. '"'
  end

  local function number(n)
    if n ~= n or n == huge or n == -huge then
      if not cfg.encode_invalid_numbers then exception(n, "must not be NaN or Inf") end
      if cfg.encode_invalid_numbers == "null" then return "null" end
      if n ~= n then return "nan" end
    end
    return format("%." .. cfg.encode_number_precision .. "g", n)
  end

  local function length(t)
    local most, items = 0, 0
    for key in next, t do
      if type(key) ~= "number" or floor(key) ~= key or key < 1 then return -1 end
      if key > most then most = key end
      items = items + 1
    end
    if cfg.encode_sparse_ratio > 0 and most > items * cfg.encode_sparse_ratio and most > cfg.encode_sparse_safe then
      if not cfg.encode_sparse_convert then exception(t, "excessively sparse array") end
      return -1
    end
    return most
  end

  local append

  local function members(out, t, depth)
    out[#out + 1] = "{"
    local comma = false
    for key, value in next, t do
      if comma then out[#out + 1] = "," end
      comma = true
      if type(key) == "number" then
        out[#out + 1] = '"' .. number(key) .. '":'
      elseif type(key) == "string" then
        out[#out + 1] = text(key) .. ":"
      else
        exception(key, "table key must be a number or string")
      end
      append(out, value, depth)
    end
    out[#out + 1] = "}"
  end

  function append(out, value, depth)
    local kind = type(value)
    if kind == "string" then
      out[#out + 1] = text(value)
    elseif kind == "number" then
      out[#out + 1] = number(value)
    elseif kind == "boolean" then
      out[#out + 1] = value and "true" or "false"
    elseif kind == "nil" or value == null then
      out[#out + 1] = "null"
    elseif kind == "table" then
      depth = depth + 1
      if depth > cfg.encode_max_depth or depth > MOST_DEPTH then raise(format("Cannot serialise, excessive nesting (%d)", depth)) end
      value = k.protected[value] or value
      local n = length(value)
      if n <= 0 then return members(out, value, depth) end
      out[#out + 1] = "["
      for i = 1, n do
        if i > 1 then out[#out + 1] = "," end
        append(out, rawget(value, i), depth)
      end
      out[#out + 1] = "]"
    else
      exception(value, "type not supported")
    end
  end

  function lib.encode(...)
    if select("#", ...) ~= 1 then raise("bad argument #1 to 'encode' (expected 1 argument)") end
    local out = {}
    append(out, (...), 0)
    return concat(out)
  end

  -- Decoding: a token is its kind, its value, where it begins, and where the next one may.
  local SINGLE = { ["{"] = "T_OBJ_BEGIN", ["}"] = "T_OBJ_END", ["["] = "T_ARR_BEGIN", ["]"] = "T_ARR_END", [","] = "T_COMMA", [":"] = "T_COLON" }
  local UNESCAPED = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", t = "\t", n = "\n", f = "\f", r = "\r" }

  local function hex4(s, at)
    local digits = sub(s, at, at + 3)
    if not find(digits, "^%x%x%x%x$") then return nil end
    return tonumber(digits, 16)
  end

  local function utf8(code)
    if code < 0x80 then return char(code) end
    if code < 0x800 then return char(0xC0 + floor(code / 64), 0x80 + code % 64) end
    if code < 0x10000 then return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64) end
    return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end

  local function escape(s, at)
    local code = hex4(s, at + 2)
    if not code then return nil end
    if code < 0xD800 or code > 0xDFFF then return utf8(code), at + 6 end
    if code >= 0xDC00 or sub(s, at + 6, at + 7) ~= "\\u" then return nil end
    local low = hex4(s, at + 8)
    if not low or low < 0xDC00 or low > 0xDFFF then return nil end
    return utf8((code - 0xD800) * 1024 + low - 0xDC00 + 0x10000), at + 12
  end

  local function string_token(s, at)
    local stop = find(s, '["\\%z]', at + 1)
    if stop and byte(s, stop) == 34 then return "T_STRING", sub(s, at + 1, stop - 1), at, stop + 1 end
    local parts, from = {}, at + 1
    while true do
      stop = find(s, '["\\%z]', from)
      if not stop or byte(s, stop) == 0 then return "T_ERROR", "unexpected end of string", stop or #s + 1 end
      if stop > from then parts[#parts + 1] = sub(s, from, stop - 1) end
      if byte(s, stop) == 34 then return "T_STRING", concat(parts), at, stop + 1 end
      local letter = sub(s, stop + 1, stop + 1)
      if letter == "u" then
        local piece, after = escape(s, stop)
        if not piece then return "T_ERROR", "invalid unicode escape code", stop end
        parts[#parts + 1], from = piece, after
      else
        local piece = UNESCAPED[letter]
        if not piece then return "T_ERROR", "invalid escape code", stop end
        parts[#parts + 1], from = piece, stop + 2
      end
    end
  end

  local function strange(s, at)
    local sign, rest = "", at
    local c = sub(s, at, at)
    if c == "+" then return true end
    if c == "-" then rest = at + 1 end
    local c1, c2 = sub(s, rest, rest), sub(s, rest + 1, rest + 1)
    if c1 == "0" then return c2 == "x" or c2 == "X" or find(c2, "^%d") ~= nil end
    if c1 ~= "" and c1 <= "9" then return false end
    return find(s, "^[iI][nN][fF]", rest) ~= nil or find(s, "^[nN][aA][nN]", rest) ~= nil
  end

  local function number_token(s, at)
    local sign = sub(s, at, at)
    local from = (sign == "-" or sign == "+") and at + 1 or at
    local minus = sign == "-" and -1 or 1
    local _, stop = find(s, "^[iI][nN][fF][iI][nN][iI][tT][yY]", from)
    if not stop then _, stop = find(s, "^[iI][nN][fF]", from) end
    if stop then return "T_NUMBER", minus * huge, at, stop + 1 end
    _, stop = find(s, "^[nN][aA][nN]", from)
    if stop then return "T_NUMBER", 0 / 0, at, stop + 1 end
    _, stop = find(s, "^0[xX]%x+", from)
    if stop then return "T_NUMBER", minus * tonumber(sub(s, from, stop)), at, stop + 1 end
    _, stop = find(s, "^%d+%.?%d*", from)
    if not stop then _, stop = find(s, "^%.%d+", from) end
    if not stop then return "T_ERROR", "invalid number", at end
    local _, more = find(s, "^[eE][+-]?%d+", stop + 1)
    stop = more or stop
    return "T_NUMBER", minus * tonumber(sub(s, from, stop)), at, stop + 1
  end

  local function token(s, at)
    at = find(s, "[^ \t\n\r]", at) or #s + 1
    local c = sub(s, at, at)
    local single = SINGLE[c]
    if single then return single, nil, at, at + 1 end
    if c == "" or c == "\0" then return "T_END", nil, at, at end
    if c == '"' then return string_token(s, at) end
    if find(c, "^[%-%d]") then
      if not cfg.decode_invalid_numbers and strange(s, at) then return "T_ERROR", "invalid number", at end
      return number_token(s, at)
    end
    if sub(s, at, at + 3) == "true" then return "T_BOOLEAN", true, at, at + 4 end
    if sub(s, at, at + 4) == "false" then return "T_BOOLEAN", false, at, at + 5 end
    if sub(s, at, at + 3) == "null" then return "T_NULL", null, at, at + 4 end
    if cfg.decode_invalid_numbers and find(c, "^[iInN+]") and strange(s, at) then return number_token(s, at) end
    return "T_ERROR", "invalid token", at
  end

  local function wrong(wanted, kind, value, at)
    raise(format("Expected %s but found %s at character %d", wanted, kind == "T_ERROR" and value or kind, at))
  end

  local process

  local function deeper(depth, after)
    if depth > cfg.decode_max_depth or depth > MOST_DEPTH then
      raise(format("Found too many nested data structures (%d) at character %d", depth, after - 1))
    end
  end

  local function object(s, after, depth)
    deeper(depth, after)
    local t = {}
    local kind, value, at
    kind, value, at, after = token(s, after)
    if kind == "T_OBJ_END" then return t, after end
    while true do
      if kind ~= "T_STRING" then wrong("object key string", kind, value, at) end
      local key = value
      kind, value, at, after = token(s, after)
      if kind ~= "T_COLON" then wrong("colon", kind, value, at) end
      kind, value, at, after = token(s, after)
      t[key], after = process(s, kind, value, at, after, depth)
      kind, value, at, after = token(s, after)
      if kind == "T_OBJ_END" then return t, after end
      if kind ~= "T_COMMA" then wrong("comma or object end", kind, value, at) end
      kind, value, at, after = token(s, after)
    end
  end

  local function array(s, after, depth)
    deeper(depth, after)
    local t, n = {}, 0
    local kind, value, at
    kind, value, at, after = token(s, after)
    if kind == "T_ARR_END" then return t, after end
    while true do
      n = n + 1
      t[n], after = process(s, kind, value, at, after, depth)
      kind, value, at, after = token(s, after)
      if kind == "T_ARR_END" then return t, after end
      if kind ~= "T_COMMA" then wrong("comma or array end", kind, value, at) end
      kind, value, at, after = token(s, after)
    end
  end

  function process(s, kind, value, at, after, depth)
    if kind == "T_STRING" or kind == "T_NUMBER" or kind == "T_BOOLEAN" or kind == "T_NULL" then return value, after end
    if kind == "T_OBJ_BEGIN" then return object(s, after, depth + 1) end
    if kind == "T_ARR_BEGIN" then return array(s, after, depth + 1) end
    wrong("value", kind, value, at)
  end

  function lib.decode(...)
    if select("#", ...) ~= 1 then raise("bad argument #1 to 'decode' (expected 1 argument)") end
    local s = (...)
    if type(s) == "number" then s = tostring(s) end
    if type(s) ~= "string" then raise("bad argument #1 to 'decode' (string expected, got " .. type(s) .. ")") end
    if #s >= 2 and (byte(s, 1) == 0 or byte(s, 2) == 0) then raise("JSON parser does not support UTF-16 or UTF-32") end
    local kind, value, at, after = token(s, 1)
    value, after = process(s, kind, value, at, after, 0)
    local what
    kind, what, at = token(s, after)
    if kind ~= "T_END" then wrong("the end", kind, what, at) end
    return value
  end

  -- Settings.
  local function whole(setting, at, least, most)
    return function(value)
      if value ~= nil then
        if type(value) ~= "number" then k.bad(at, setting, "number", value) end
        value = floor(value)
        if value < least or value > most then raise(format("bad argument #1 to '%s' (expected integer between %d and %d)", setting, least, most)) end
        cfg[setting], touched = value, true
      end
      return cfg[setting]
    end
  end

  local function switch(setting, names)
    return function(value)
      if value ~= nil then
        if value == "on" then value = true end
        if value == "off" then value = false end
        if type(value) ~= "boolean" and not names[value] then raise("bad argument #1 to '" .. setting .. "' (invalid option '" .. tostring(value) .. "')") end
        cfg[setting], touched = value, true
      end
      return cfg[setting]
    end
  end

  lib.encode_max_depth = whole("encode_max_depth", 1, 1, 2147483647)
  lib.decode_max_depth = whole("decode_max_depth", 1, 1, 2147483647)
  lib.encode_number_precision = whole("encode_number_precision", 1, 1, 14)
  lib.encode_keep_buffer = switch("encode_keep_buffer", {})
  lib.encode_invalid_numbers = switch("encode_invalid_numbers", { null = true })
  lib.decode_invalid_numbers = switch("decode_invalid_numbers", {})
  local convert = switch("encode_sparse_convert", {})
  local ratio, safe = whole("encode_sparse_ratio", 2, 0, 2147483647), whole("encode_sparse_safe", 3, 0, 2147483647)
  function lib.encode_sparse_array(a, b, c) return convert(a), ratio(b), safe(c) end
  return lib
end

local lib = new()
function lib.new() return new() end
k.globals.cjson = k.protect(lib)
