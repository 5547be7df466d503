-- Run by wrk: sends the requests of a file in turn, and prints one line of JSON about how it went.
-- Each line of the file is a method, a path and a body, apart by tabs.

local requests, turn = {}, 0

function init(args)
    wrk.headers["Origin"] = "https://app.example"
    wrk.headers["Content-Type"] = "application/json"
    for line in io.lines(args[1]) do
        local method, path, body = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
        if body == "" then body = nil end
        requests[#requests + 1] = wrk.format(method, path, nil, body)
    end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "refused": %d, ' ..
        '"connect": %d, "read": %d, "write": %d, "timeout": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.status, errors.connect, errors.read, errors.write, errors.timeout
    ))
end
