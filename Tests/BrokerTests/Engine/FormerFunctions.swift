@testable import Broker

extension EngineFunctions {
    /// The library of the version before.
    static let former = #"""
        #!lua name=broker1
        -- The term that this process takes records for, by the head's key. It is in no replica and no file: a replica
        -- that is promoted, a primary that starts again, and a library that is loaded again take none, until the brokers have
        -- said how far they have read, what is missing here has been put back, and another term has begun.
        local armed = {}
        -- The last number that this process has given, by the same key: one that was demoted, got the data of another, and is
        -- promoted again in the same term, finds another there, and is armed no longer.
        local given = {}

        local function int(x) return string.format('%.0f', x) end

        local function parts(position)
          local term, seq = string.match(position, '^(%d+)%-(%d+)$')
          return tonumber(term), tonumber(seq)
        end

        local function before(x, y)
          local a, b = parts(x)
          local c, d = parts(y)
          return a < c or (a == c and b < d)
        end

        local function now()
          local t = redis.call('TIME')
          return t[1] * 1000 + math.floor(t[2] / 1000)
        end

        local function top(log)
          local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
          return last[1] and last[1][1] or '0-0'
        end

        -- Term, number and time as the data has them. A process that is armed for another term has been demoted meanwhile.
        local function head(key)
          local h = redis.call('HMGET', key, 'term', 'seq', 'time')
          local term, seq = tonumber(h[1] or '0'), tonumber(h[2] or '0')
          if armed[key] ~= term or given[key] ~= seq then armed[key] = nil end
          return term, seq, tonumber(h[3] or '0')
        end

        -- keys log head, args term count record: the last number and the time, in milliseconds
        local function append(keys, args)
          local term, seq, time = head(keys[2])
          if not armed[keys[2]] then return redis.error_reply('UNARMED no term has begun here') end
          if tonumber(args[1]) ~= term then return redis.error_reply('TERM ' .. int(term)) end
          seq = seq + tonumber(args[2])
          time = math.max(time, now())
          redis.call('HSET', keys[2], 'seq', int(seq), 'time', int(time))
          redis.call('XADD', keys[1], int(term) .. '-' .. int(seq), 'b', args[3], 'm', int(time))
          given[keys[2]] = seq
          return { seq, time }
        end

        -- keys log head nodes, args node facts: the armed term or 0, the log's last position, where the term before ended,
        -- the epoch
        local function hello(keys, args)
          head(keys[2])
          redis.call('HSET', keys[3], args[1], args[2])
          local h = redis.call('HMGET', keys[2], 'closed', 'epoch')
          return { armed[keys[2]] or 0, top(keys[1]), h[1] or '0-0', h[2] or '' }
        end

        local function arm(keys, jump, known, epoch)
          local term, seq, time = head(keys[2])
          local t = top(keys[1])
          local last = before(t, known) and known or t
          local a, b = parts(last)
          term = math.max(a, term) + 1
          -- Numbers that may have been given beyond what anybody remembers are never given again.
          seq = math.max(b, seq) + tonumber(jump)
          time = math.max(time, now())
          redis.call('DEL', keys[4])
          redis.call('HSET', keys[2], 'term', int(term), 'seq', int(seq), 'time', int(time), 'closed', last, 'epoch', epoch)
          redis.call('XADD', keys[1], int(term) .. '-' .. int(seq), 't', last, 'e', epoch, 'm', int(time))
          armed[keys[2]], given[keys[2]] = term, seq
          return { term, last }
        end

        -- keys log head nodes ready, args node last epoch grace jump peers: the term and where the one before ended; or 0 and
        -- 'wait', or the position after which this broker is to put back what it has, or 'epoch' and the log's
        local function ready(keys, args)
          local node, last, epoch, grace, jump, peers = unpack(args)
          grace = tonumber(grace)
          head(keys[2])
          if armed[keys[2]] then return { armed[keys[2]], redis.call('HGET', keys[2], 'closed') } end
          local here = redis.call('HGET', keys[2], 'epoch')
          if here and here ~= epoch then return { 0, 'epoch ' .. here } end
          local r, t = keys[4], now()
          redis.call('HSETNX', r, 'since', int(t))
          redis.call('HSET', r, 'n:' .. node, last, 'e:' .. node, epoch)
          local winner = redis.call('HGET', r, 'winner')
          if winner then
            -- One that has been asked and does nothing for some time is given up.
            if t - tonumber(redis.call('HGET', r, 'won')) > 2 * grace then redis.call('DEL', r) end
            return { 0, winner == node and redis.call('HGET', r, 'from') or 'wait' }
          end
          local all, count, most, least, who = redis.call('HGETALL', r), 0, nil, nil, nil
          for i = 1, #all, 2 do
            if string.sub(all[i], 1, 2) == 'n:' then
              count = count + 1
              if not most or before(most, all[i + 1]) then most, who = all[i + 1], string.sub(all[i], 3) end
              if not least or before(all[i + 1], least) then least = all[i + 1] end
            end
          end
          if count < tonumber(peers) and t - tonumber(redis.call('HGET', r, 'since')) < grace then return { 0, 'wait' } end
          local tp = top(keys[1])
          -- The state is that of the one that has read most: a broker that is new knows none.
          if not before(tp, most) then return arm(keys, jump, most, redis.call('HGET', r, 'e:' .. who)) end
          -- A log that is empty gets back only what the hindmost lacks.
          local from = tp == '0-0' and least or tp
          redis.call('HSET', r, 'winner', who, 'won', int(t), 'from', from)
          return { 0, who == node and from or 'wait' }
        end

        -- keys log head nodes ready, args node position field value ...: 1, or 0 where the log has it
        local function offer(keys, args)
          head(keys[2])
          if armed[keys[2]] or redis.call('HGET', keys[4], 'winner') ~= args[1] then
            return redis.error_reply('UNASKED another broker puts back, or the term has begun')
          end
          redis.call('HSET', keys[4], 'won', int(now()))
          local r = redis.pcall('XADD', keys[1], unpack(args, 2))
          return type(r) == 'table' and r.err and 0 or 1
        end

        -- keys log head nodes ready, args node last epoch jump: as ready
        local function finish(keys, args)
          head(keys[2])
          if armed[keys[2]] then return { armed[keys[2]], redis.call('HGET', keys[2], 'closed') } end
          if redis.call('HGET', keys[4], 'winner') ~= args[1] then
            return redis.error_reply('UNASKED another broker puts back')
          end
          return arm(keys, args[4], args[2], args[3])
        end

        redis.register_function('broker1_append', append)
        redis.register_function('broker1_hello', hello)
        redis.register_function('broker1_ready', ready)
        redis.register_function('broker1_offer', offer)
        redis.register_function('broker1_arm', finish)
        """#
}
