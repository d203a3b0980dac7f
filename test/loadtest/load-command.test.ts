import assert from 'node:assert/strict';
import { UsageError } from '../../loadtest/bench/bench.ts';
import { judge, type LoadResult, loadHelp, parseLoadCommand } from '../../loadtest/driver/load-command.ts';
import { summarize } from '../../loadtest/loadtest.ts';

const RESULT: LoadResult = {
  players: 10,
  joinsOk: 10,
  joinsFailed: 2,
  rooms: 1,
  drops: 0,
  resumes: 0,
  lost: 0,
  seconds: 30,
  patchesPerSecond: 19.9,
  bytesPerSecond: 2500,
  inputsPerSecond: 20,
  ackP50Ms: 20,
  ackP95Ms: 40,
  ackP99Ms: 60,
  tickP50Ms: null,
  tickP99Ms: 3,
  inputsSkipped: 0,
  driverCpuShare: 0.5,
};

describe('the command line of the load test', () => {
  it('takes a room, options in either spelling, and limits', () => {
    const command = parseLoadCommand(['arena', '--clients', '200', '--seconds=30', '--max-ack-p99-ms', '80', '--json']);
    assert.equal(command?.room, 'arena');
    assert.equal(command?.options.clients, 200);
    assert.equal(command?.options.seconds, 30);
    assert.equal(command?.options.json, true);
    assert.equal(command?.options.endpoint, 'ws://localhost:2567');
    assert.deepEqual(command?.limits, { 'max-ack-p99-ms': 80 });
  });

  it('takes the room wherever it stands, and a limit of 0', () => {
    const command = parseLoadCommand(['--max-join-failures=0', '--clients', '5', 'tag']);
    assert.equal(command?.room, 'tag');
    assert.deepEqual(command?.limits, { 'max-join-failures': 0 });
  });

  it('takes the address as `up` and `npm start` print it, and as a WebSocket has it', () => {
    for (const endpoint of ['http://localhost:2567/', 'https://play.example', 'ws://[::1]:1', 'wss://play.example/a']) {
      assert.equal(parseLoadCommand(['arena', '--endpoint', endpoint])?.options.endpoint, endpoint);
    }
  });

  it('asks for help wherever --help stands, and the help names every limit', () => {
    assert.equal(parseLoadCommand(['arena', '--nonsense', '--help']), undefined);
    for (const name of ['--max-join-failures', '--max-ack-p99-ms', '--max-tick-p99-ms', '--min-patches-per-second']) {
      assert.ok(loadHelp().includes(name), `help does not name ${name}`);
    }
  });

  for (const [why, argv] of [
    ['no room', ['--clients', '5']],
    ['two rooms', ['arena', 'tag']],
    ['an unknown option', ['arena', '--client', '5']],
    ['an unknown limit', ['arena', '--max-nonsense', '5']],
    ['clients that are no number', ['arena', '--clients', 'many']],
    ['half a client', ['arena', '--clients', '2.5']],
    ['no clients', ['arena', '--clients', '0']],
    ['a limit without a number', ['arena', '--max-ack-p99-ms']],
    ['a limit below 0', ['arena', '--max-ack-p99-ms', '-1']],
    ['an endpoint that is none', ['arena', '--endpoint', 'localhost:2567']],
    ['an endpoint of another kind', ['arena', '--endpoint', 'redis://localhost:2567']],
    ['rooms and players a room at once', ['arena', '--rooms', '2', '--per-room', '3']],
    ['an unknown mode', ['arena', '--mode', 'heavy']],
  ] as const) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parseLoadCommand(argv), UsageError);
    });
  }
});

describe('limits of the load test', () => {
  it('are met up to and including the number, in both directions', () => {
    const goals = judge(RESULT, {
      'max-join-failures': 2,
      'max-ack-p99-ms': 59.9,
      'min-patches-per-second': 19.9,
      'max-bytes-per-second': 2499,
    });
    assert.deepEqual(
      goals.map(({ name, met }) => [name, met]),
      [
        ['max-join-failures', true],
        ['max-ack-p99-ms', false],
        ['min-patches-per-second', true],
        ['max-bytes-per-second', false],
      ],
    );
  });

  it('are missed when the number could not be had', () => {
    assert.deepEqual(
      judge(RESULT, { 'max-tick-p50-ms': 1e9 }).map(({ met }) => met),
      [false],
    );
  });
});

describe('what the load test says of its numbers', () => {
  const joins = { ok: 3, failed: 1, rooms: 1, failures: {} };
  const window = {
    seconds: 1,
    players: 1,
    dropped: 5,
    resumed: 3,
    lost: { '4100': 1 },
    framesPerSecond: 0,
    patchesPerSecond: 0,
    bytesPerSecond: 0,
    inputsPerSecond: 0,
    acksPerSecond: 0,
    inputsSkipped: 0,
    ackP50Ms: 1,
    ackP95Ms: 1,
    ackP99Ms: 1,
    driverCpuShare: 0,
  };
  const tick = (count: number) => [
    { name: 'hypogeum_tick_duration_seconds_bucket', labels: { phase: 'total', le: '0.001' }, value: count },
    { name: 'hypogeum_tick_duration_seconds_bucket', labels: { phase: 'total', le: '+Inf' }, value: count },
  ];

  it('tells drops, who came back, who is lost and why, and who is on the way', () => {
    const { result, notes } = summarize(joins, window, tick(1), tick(9));
    assert.deepEqual([result.drops, result.resumes, result.lost], [5, 3, 1]);
    assert.deepEqual(notes, ['1 players lost: 4100', '1 players were on their way back at the end']);
    assert.ok(result.tickP99Ms! > 0);
  });

  it('tells why a gate has no tick times, and which setting decides about rooms that players may not create', () => {
    const gate = [{ name: 'hypogeum_gate_tunnels', labels: {}, value: 3 }];
    const refused = { ...joins, failures: { '520 no such method': 1 } };
    const { result, notes } = summarize(refused, { ...window, players: 3, lost: {} }, gate, gate);
    assert.equal(result.tickP99Ms, null);
    assert.match(notes[0]!, /a process without rooms has answered, such as a gate; --metrics-url/);
    assert.match(notes[1]!, /--per-room .* HYPOGEUM_MAX_PLAYERS/);
  });
});
