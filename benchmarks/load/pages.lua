-- For wrk: counts answers that are not the page of the user whose id is the argument.
local threads = {}

function setup(thread)
    thread:set("wrong", 0)
    table.insert(threads, thread)
end

function init(arguments)
    identity = arguments[1] .. "\n"
end

function response(status, headers, body)
    if status ~= 200 or body:sub(1, #identity) ~= identity then
        wrong = wrong + 1
    end
end

function done(summary, latency, requests)
    local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
    for _, thread in ipairs(threads) do
        bad = bad + thread:get("wrong")
    end
    print(string.format("pages %d %d %d", summary.requests, summary.duration, bad))
end
