import assert from 'node:assert/strict';
import { UsageError } from '../../loadtest/bench/bench.ts';
import { judge, type LoadResult, loadHelp, parseLoadCommand } from '../../loadtest/driver/load-command.ts';

const RESULT: LoadResult = {
  players: 10,
  joinsOk: 10,
  joinsFailed: 2,
  rooms: 1,
  drops: 0,
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
