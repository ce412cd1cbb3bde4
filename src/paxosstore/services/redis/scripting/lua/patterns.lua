-- Lua's patterns, matched in Lua: as the matcher in C does it, but it can be stopped. Used where that one might take long.
local k = ...

local byte, sub, find, char = string.byte, string.sub, string.find, string.char
local type, error, tostring, select, unpack = type, error, tostring, select, unpack
local concat = table.concat

local CLASSES = {}
for letter in ("acdlpsuwxz"):gmatch(".") do
  local inside, outside = {}, {}
  for c = 0, 255 do
    local is = find(char(c), "%" .. letter) ~= nil
    inside[c], outside[c] = is, not is
  end
  CLASSES[byte(letter)] = inside
  CLASSES[byte(letter:upper())] = outside
end
local ANY = {}
for c = 0, 255 do ANY[c] = true end

local MAX_PATTERN, MAX_KNOWN = 4096, 256
local QUANTIFIERS = { [42] = "*", [43] = "+", [45] = "-", [63] = "?" }

local function class(c)
  local known = CLASSES[c]
  if known then return known end
  return { [c] = true }
end

-- The set that begins at `at` ("["), and where it ends.
local function set(p, at)
  local members, negated = {}, false
  at = at + 1
  if byte(p, at) == 94 then negated, at = true, at + 1 end
  local first = true
  while true do
    local c = byte(p, at)
    if not c then error("malformed pattern (missing ']')", 0) end
    if c == 93 and not first then break end
    first = false
    if c == 37 then
      local which = byte(p, at + 1)
      if not which then error("malformed pattern (missing ']')", 0) end
      for member, is in k.next, class(which) do
        if is then members[member] = true end
      end
      at = at + 2
    elseif byte(p, at + 1) == 45 and byte(p, at + 2) and byte(p, at + 2) ~= 93 then
      for member = c, byte(p, at + 2) do members[member] = true end
      at = at + 3
    else
      members[c] = true
      at = at + 1
    end
  end
  if negated then
    local others = {}
    for c = 0, 255 do others[c] = not members[c] end
    members = others
  end
  return members, at
end

local function parse(p)
  local items, at, n = {}, 1, #p
  local anchored = byte(p, 1) == 94
  if anchored then at = 2 end
  while at <= n do
    local c = byte(p, at)
    local item
    if c == 40 then
      if byte(p, at + 1) == 41 then
        item, at = { kind = "position" }, at + 2
      else
        item, at = { kind = "open" }, at + 1
      end
    elseif c == 41 then
      item, at = { kind = "close" }, at + 1
    elseif c == 36 and at == n then
      item, at = { kind = "end" }, at + 1
    elseif c == 37 and byte(p, at + 1) == 98 then
      local x, y = byte(p, at + 2, at + 3)
      if not y then error("unbalanced pattern", 0) end
      item, at = { kind = "balance", x = x, y = y }, at + 4
    elseif c == 37 and byte(p, at + 1) == 102 then
      if byte(p, at + 2) ~= 91 then error("missing '[' after '%f' in pattern", 0) end
      local members, last = set(p, at + 2)
      item, at = { kind = "frontier", members = members }, last + 1
    elseif c == 37 and byte(p, at + 1) and byte(p, at + 1) >= 48 and byte(p, at + 1) <= 57 then
      item, at = { kind = "back", index = byte(p, at + 1) - 48 }, at + 2
    else
      local members
      if c == 37 then
        local which = byte(p, at + 1)
        if not which then error("malformed pattern (ends with '%')", 0) end
        members, at = class(which), at + 2
      elseif c == 91 then
        local last
        members, last = set(p, at)
        at = last + 1
      else
        members, at = c == 46 and ANY or { [c] = true }, at + 1
      end
      item = { kind = "char", members = members, many = QUANTIFIERS[byte(p, at)] }
      if item.many then at = at + 1 end
    end
    items[#items + 1] = item
  end
  return { items = items, anchored = anchored }
end

-- How the steps of the matcher in C may grow: with the text's length to a power, times a factor.
local function measure(parsed)
  local items, power, factor = parsed.items, parsed.anchored and 0 or 1, 1
  local last = #items
  while last > 0 and items[last].kind == "close" do last = last - 1 end
  for i = 1, #items do
    local item = items[i]
    if item.many == "?" then
      factor = factor * 2
    elseif item.many and not (i == last and item.many ~= "-") then
      power = power + 1
    elseif item.kind == "balance" or item.kind == "back" then
      power = power + 1
    end
  end
  parsed.power, parsed.factor = power > 0 and power or 1, factor
  return parsed
end

local SIMPLE = { power = 1, factor = 1 }
local known, count = {}, 0

local function cost(p)
  local parsed = known[p]
  if parsed then return parsed end
  if not find(p, "[%*%+%-%?%%]") then return SIMPLE end -- each step looks at one character
  if #p > MAX_PATTERN then k.raise("a pattern of more than " .. MAX_PATTERN .. " bytes") end
  local ok
  ok, parsed = k.pcall(parse, p)
  if not ok then return SIMPLE end -- the matcher in C says what is wrong with it
  if count >= MAX_KNOWN then known, count = {}, 0 end
  known[p], count = measure(parsed), count + 1
  return parsed
end

local function compiled(p)
  local parsed = cost(p)
  if parsed.items then return parsed end
  local ok
  ok, parsed = k.pcall(parse, p)
  if not ok then k.raise(parsed) end
  return parsed
end

-- Where a match of the items from `at` on ends that begins at `i` (nil: there is none). m: the text, and what is captured.
local function run(m, i, at)
  local s, n, items = m.s, m.n, m.items
  while true do
    local item = items[at]
    if not item then return i end
    local kind = item.kind
    if kind == "char" then
      local members, many = item.members, item.many
      if not many then
        if i > n or not members[byte(s, i)] then return nil end
        i, at = i + 1, at + 1
      elseif many == "?" then
        if i <= n and members[byte(s, i)] then
          local last = run(m, i + 1, at + 1)
          if last then return last end
        end
        at = at + 1
      elseif many == "-" then
        local last = run(m, i, at + 1)
        if last then return last end
        if i > n or not members[byte(s, i)] then return nil end
        i = i + 1
      else
        local j = i
        while j <= n and members[byte(s, j)] do j = j + 1 end
        local least = many == "+" and i + 1 or i
        if not items[at + 1] then
          if j >= least then return j end
          return nil
        end
        while j >= least do
          local last = run(m, j, at + 1)
          if last then return last end
          j = j - 1
        end
        return nil
      end
    elseif kind == "open" or kind == "position" then
      local level = m.level + 1
      if level > 32 then k.raise("too many captures") end
      m.level = level
      m.first[level], m.size[level] = i, kind == "open" and -1 or -2
      local last = run(m, i, at + 1)
      if not last then m.level = level - 1 end
      return last
    elseif kind == "close" then
      local level = m.level
      while level > 0 and m.size[level] ~= -1 do level = level - 1 end
      if level == 0 then k.raise("invalid pattern capture") end
      m.size[level] = i - m.first[level]
      local last = run(m, i, at + 1)
      if not last then m.size[level] = -1 end
      return last
    elseif kind == "end" then
      return i == n + 1 and i or nil
    elseif kind == "balance" then
      if i > n or byte(s, i) ~= item.x then return nil end
      local depth, j = 1, i + 1
      while true do
        if j > n then return nil end
        local c = byte(s, j)
        j = j + 1
        if c == item.y then
          depth = depth - 1
          if depth == 0 then break end
        elseif c == item.x then
          depth = depth + 1
        end
      end
      i, at = j, at + 1
    elseif kind == "frontier" then
      local before = i > 1 and byte(s, i - 1) or 0
      local after = i <= n and byte(s, i) or 0
      if item.members[before] or not item.members[after] then return nil end
      at = at + 1
    else
      local index = item.index
      if index < 1 or index > m.level or m.size[index] == -1 then k.raise("invalid capture index") end
      if m.size[index] == -2 then return nil end -- of a position there is nothing to compare
      local what = sub(s, m.first[index], m.first[index] + m.size[index] - 1)
      if sub(s, i, i + #what - 1) ~= what then return nil end
      i, at = i + #what, at + 1
    end
  end
end

local function begin(s, p)
  local parsed = compiled(p)
  return { s = s, n = #s, items = parsed.items, anchored = parsed.anchored, level = 0, first = {}, size = {} }
end

local function capture(m, index)
  local first, size = m.first[index], m.size[index]
  if size == -1 then k.raise("unfinished capture") end
  if size == -2 then return first end
  return sub(m.s, first, first + size - 1)
end

local function captures(m, from, to)
  if m.level == 0 then return sub(m.s, from, to - 1) end
  local all = {}
  for i = 1, m.level do all[i] = capture(m, i) end
  return unpack(all, 1, m.level)
end

-- The first match from `i` on: where it begins and ends.
local function first(m, i, look)
  repeat
    look()
    m.level = 0
    local last = run(m, i, 1)
    if last then return i, last end
    i = i + 1
  until i > m.n + 1 or m.anchored
end

function k.patterns(look)
  local function start(s, init)
    init = init or 1
    init = init >= 0 and init - init % 1 or -(-init - -init % 1)
    if init < 0 then init = #s + init + 1 end
    if init < 1 then init = 1 end
    if init > #s + 1 then init = #s + 1 end
    return init
  end

  local function found(s, p, init)
    local m = begin(s, p)
    local from, to = first(m, start(s, init), look)
    if not from then return nil end
    if m.level == 0 then return from, to - 1 end
    return from, to - 1, captures(m, from, to)
  end

  local function matched(s, p, init)
    local m = begin(s, p)
    local from, to = first(m, start(s, init), look)
    if not from then return nil end
    return captures(m, from, to)
  end

  local function each(s, p)
    if byte(p, 1) == 94 then p = "%" .. p end -- no anchor here, but a character
    local m, at = begin(s, p), 1
    return function()
      if at > m.n + 1 then return nil end
      local from, to = first(m, at, look)
      if not from then
        at = m.n + 2
        return nil
      end
      at = to == from and to + 1 or to
      return captures(m, from, to)
    end
  end

  local function expanded(m, from, to, by)
    local parts, at = {}, 1
    while true do
      local escape = find(by, "%", at, true)
      if not escape then break end
      parts[#parts + 1] = sub(by, at, escape - 1)
      local c = byte(by, escape + 1)
      if not c or c < 48 or c > 57 then
        parts[#parts + 1] = c and char(c) or "\0" -- the matcher in C finds the end of the text there
      elseif c == 48 then
        parts[#parts + 1] = sub(m.s, from, to - 1)
      elseif c == 49 and m.level == 0 then
        parts[#parts + 1] = sub(m.s, from, to - 1)
      else
        if c - 48 > m.level then k.raise("invalid capture index") end
        parts[#parts + 1] = tostring(capture(m, c - 48))
      end
      at = escape + 2
    end
    parts[#parts + 1] = sub(by, at)
    return concat(parts)
  end

  local function replaced(s, p, by, most)
    local m = begin(s, p)
    local parts, at, done, kind = {}, 1, 0, type(by)
    if kind == "number" then by, kind = tostring(by), "string" end
    most = most and most + 0 or #s + 1
    while done < most do
      look()
      m.level = 0
      local to = run(m, at, 1)
      if to then
        done = done + 1
        local value
        if kind == "string" then
          value = expanded(m, at, to, by)
        else
          local key = m.level > 0 and capture(m, 1) or sub(s, at, to - 1)
          if kind == "table" then
            value = by[key]
          else
            value = by(captures(m, at, to))
          end
          if not value then
            value = sub(s, at, to - 1)
          elseif type(value) ~= "string" and type(value) ~= "number" then
            k.raise("invalid replacement value (a " .. type(value) .. ")")
          end
        end
        parts[#parts + 1] = value
      end
      if to and to > at then
        at = to
      elseif at <= m.n then
        parts[#parts + 1] = sub(s, at, at)
        at = at + 1
      else
        break
      end
      if m.anchored then break end
    end
    parts[#parts + 1] = sub(s, at)
    return concat(parts), done
  end

  local function is_plain(p) return not find(p, "[%^%$%*%+%?%.%(%[%%%-]") end

  return { cost = cost, is_plain = is_plain, find = found, match = matched, gmatch = each, gsub = replaced }
end
