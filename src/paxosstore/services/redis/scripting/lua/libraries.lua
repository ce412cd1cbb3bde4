-- The libraries `bit` and `struct`: checked here, done in Python.
local k, host = ...

local type, select, tonumber, tostring, unpack = type, select, tonumber, tostring, unpack
local raise = k.raise

local LEAST = { lshift = 2, rshift = 2, arshift = 2, rol = 2, ror = 2 }
local bit = {}

local function checked(name, f)
  local least = LEAST[name] or 1
  return function(...)
    local n = select("#", ...)
    local words = { ... }
    for i = 1, n > least and n or least do
      local number = words[i]
      if type(number) ~= "number" then
        number = type(number) == "string" and tonumber(number) or nil
        if not number then
          if name == "tohex" and i == 2 and words[i] == nil and n < 2 then break end
          local kind = i > n and "no value" or type(words[i])
          raise("bad argument #" .. i .. " to '" .. name .. "' (number expected, got " .. kind .. ")")
        end
        words[i] = number
      end
    end
    if n > 200 then raise("too many arguments") end
    if name == "tobit" or name == "bnot" or name == "bswap" then return f(words[1]) end
    if least == 2 or (name == "tohex" and n > 2) then return f(words[1], words[2]) end
    return f(unpack(words, 1, n))
  end
end

for _, name in k.next, { "arshift", "band", "bnot", "bor", "bswap", "bxor", "lshift", "rol", "ror", "rshift", "tobit", "tohex" } do
  bit[name] = checked(name, host["bit_" .. name])
end
k.globals.bit = k.protect(bit)

local MAX_BYTES = 16 * 1024 * 1024
local struct = {}

local function plain(name, at, kind, ...)
  local words, size = { ... }, 0
  if select("#", ...) > 1000 then raise("too many arguments") end
  for i = at, select("#", ...) do
    local is = type(words[i])
    if is == "string" then size = size + #words[i] end
    if size > MAX_BYTES then raise("the arguments are more than " .. MAX_BYTES .. " bytes") end
    if is ~= "string" and is ~= "number" then
      raise("bad argument #" .. i .. " to '" .. name .. "' (" .. (i == 1 and "string" or kind) .. " expected, got " .. is .. ")")
    end
  end
end

local function result(value, why, ...)
  if value == nil then raise(why) end
  return value
end

local function results(ok, ...)
  if ok == nil then raise((...)) end
  return ...
end

function struct.pack(...)
  local form = (...)
  if type(form) ~= "string" then k.bad(1, "pack", "string", form) end
  plain("pack", 1, "number", ...)
  k.look()
  return result(host.pack(...))
end

function struct.unpack(form, data, start)
  if type(form) ~= "string" then k.bad(1, "unpack", "string", form) end
  if type(data) == "number" then data = tostring(data) end
  if type(data) ~= "string" then k.bad(2, "unpack", "string", data) end
  if start ~= nil and type(start) ~= "number" then k.bad(3, "unpack", "number", start) end
  k.look()
  return results(host.unpack(form, data, start or 1))
end

function struct.size(form)
  if type(form) ~= "string" then k.bad(1, "size", "string", form) end
  return result(host.size(form))
end
k.globals.struct = k.protect(struct)
