-- Forward authentication for HAProxy: `http-request lua.authz <check URL>`.
--
-- Sends the original request's facts to the sidecar. On exactly 200 it leaves what the application
-- is to receive in txn variables; anything else it answers to the client itself. It never passes.

-- All that the sidecar reads of the client's own headers.
local RELAYED = {
  "cookie", "authorization", "dpop", "user-agent", "accept", "content-type", "origin", "referer",
  "purpose", "sec-purpose", "x-purpose", "x-moz",
  "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user",
  "sec-websocket-version", "sec-websocket-key", "x-requested-with", "access-control-request-method",
  "access-control-request-headers", "x-request-id", "traceparent", "tracestate",
}

local TAKEN = {
  authz_user = "x-auth-user", authz_email = "x-auth-email", authz_groups = "x-auth-groups",
  authz_name = "x-auth-name", authz_assertion = "x-auth-assertion",
  authz_cookie = "cookie", authz_set_cookie = "set-cookie",
}

local HOP_BY_HOP = {
  ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true,
  ["keep-alive"] = true, ["upgrade"] = true,
}

-- HAProxy's client tries four times, so an outage shows after four times this long.
local TIMEOUT_MS = 800

local function facts(txn)
  local headers, client = {}, txn.http:req_get_headers()
  for _, name in ipairs(RELAYED) do
    local values = client[name]
    if values ~= nil then
      local lines = {}
      for i = 0, #values do lines[#lines + 1] = values[i] end
      headers[name] = lines
    end
  end
  headers["x-forwarded-method"] = { txn.f:method() }
  headers["x-forwarded-proto"]  = { txn.f:ssl_fc() == 1 and "https" or "http" }
  headers["x-forwarded-host"]   = { txn.sf:req_fhdr("host") }
  headers["x-forwarded-uri"]    = { txn.f:pathq() }
  headers["x-forwarded-for"]    = { txn.f:src() }
  return headers
end

local function unavailable(txn)
  txn:done(txn:reply{
    status = 503, reason = "Service Unavailable",
    headers = {
      ["content-type"] = { "text/plain" }, ["retry-after"] = { "5" },
      ["cache-control"] = { "no-store" },
    },
    body = "The sign-in service cannot be reached. Please try again in a moment.\n",
  })
end

core.register_action("authz", { "http-req" }, function(txn, url)
  local called, answer = pcall(function()
    return core.httpclient():get{ url = url, headers = facts(txn), timeout = TIMEOUT_MS }
  end)
  local status = called and answer and answer.status or 0

  if status == 200 then
    for variable, name in pairs(TAKEN) do
      local values = answer.headers and answer.headers[name]
      if values and values[0] then txn:set_var("txn." .. variable, values[0]) end
    end
    txn:set_var("txn.authz_passed", true)
    return
  end

  -- 503 is the sidecar's own word for trouble, always `no-store`; without that it is HAProxy's own,
  -- for a connection that failed. Any other 2xx or 5xx the sidecar never says.
  local stored = answer and answer.headers and answer.headers["cache-control"]
  local own = status == 503 and stored ~= nil and stored[0] == "no-store"
  if not own and (status < 300 or status >= 500) then return unavailable(txn) end

  local reply = txn:reply{ status = status, body = answer.body }
  for name, values in pairs(answer.headers or {}) do
    if not HOP_BY_HOP[name:lower()] then
      for i = 0, #values do
        if values[i] then reply:add_header(name, values[i]) end
      end
    end
  end
  txn:done(reply)
end, 1)
