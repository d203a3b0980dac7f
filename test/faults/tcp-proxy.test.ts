import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { TcpProxy } from '../fixtures/tcp-proxy.ts';
import { until } from '../fixtures/until.ts';

/** One end of a connection, and all that came out of it. */
class End {
  readonly socket: Socket;
  text = '';
  isOver = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.text += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isOver = true;
    });
  }

  async got(text: string): Promise<void> {
    await until(() => this.text.length >= text.length, JSON.stringify(text));
    assert.equal(this.text, text);
  }

  over(): Promise<boolean> {
    return until(() => this.isOver, 'the end of the connection');
  }
}

describe('the TCP proxy of the fault tests', () => {
  let server: Server;
  let proxy: TcpProxy;
  let accepted: End[];

  beforeEach(async () => {
    accepted = [];
    server = createServer((socket) => accepted.push(new End(socket)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await TcpProxy.start((server.address() as AddressInfo).port);
  });
  afterEach(async () => {
    await proxy.close();
    for (const { socket } of accepted) socket.destroy();
    server.close();
  });

  async function pair(): Promise<[near: End, far: End]> {
    const before = accepted.length;
    const near = new End(connect(proxy.port, '127.0.0.1'));
    const far = await until(() => accepted[before], 'the connection to be there');
    return [near, far];
  }

  it('passes bytes and ends both ways', async () => {
    const [near, far] = await pair();
    near.socket.write('there');
    far.socket.write('back');
    await far.got('there');
    await near.got('back');
    assert.equal(proxy.connections, 1);
    near.socket.end();
    await far.over();
    await until(() => proxy.connections === 0, 'the connection to be forgotten');
  });

  it('delays without changing the order, however uneven the delay', async () => {
    proxy.lag = { oneWayMs: 30, jitterMs: 20 };
    const [near, far] = await pair();
    const startMs = performance.now();
    for (let i = 0; i < 10; i++) {
      near.socket.write(String(i));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await far.got('0123456789');
    assert.ok(performance.now() - startMs > 25);
    proxy.lag = undefined;
  });

  it('holds what is sent during a stall, of old and new connections, and delivers it afterwards', async () => {
    const [near, far] = await pair();
    near.socket.write('a');
    await far.got('a');
    proxy.stall();
    near.socket.write('b');
    const [later, laterFar] = await pair();
    later.socket.write('c');
    far.socket.write('x');
    // A connection of its own shows that time enough has passed for the others.
    await roundTrip((server.address() as AddressInfo).port, accepted);
    assert.deepEqual([far.text, laterFar.text, near.text], ['a', '', '']);
    proxy.heal();
    await far.got('ab');
    await laterFar.got('c');
    await near.got('x');
  });

  it('stalls one way only where asked to', async () => {
    proxy.stall(['there']);
    const [near, far] = await pair();
    near.socket.write('question');
    far.socket.write('answer');
    await near.got('answer');
    assert.equal(far.text, '');
    proxy.heal();
    await far.got('question');
  });

  it('swallows one way, ends included, while the other goes on, and breaks what lost bytes when it heals', async () => {
    const [near, far] = await pair();
    const [quiet, quietFar] = await pair();
    proxy.swallow('there');
    near.socket.write('lost');
    far.socket.write('kept');
    await near.got('kept');
    assert.deepEqual([far.text, far.isOver], ['', false]);
    proxy.heal();
    await near.over();
    await far.over();
    quiet.socket.write('whole');
    await quietFar.got('whole');
  });

  it('keeps the far end open when the near one goes in a half-open moment', async () => {
    const [near, far] = await pair();
    proxy.swallow('there');
    near.socket.destroy();
    await near.over();
    far.socket.write('is anybody there');
    await roundTrip((server.address() as AddressInfo).port, accepted);
    assert.equal(far.isOver, false);
    proxy.heal();
    await far.over();
  });

  it('resets every connection and takes new ones', async () => {
    const [near, far] = await pair();
    proxy.reset();
    await near.over();
    await far.over();
    const [again, againFar] = await pair();
    again.socket.write('again');
    await againFar.got('again');
  });

  it('refuses while it is cut, and not afterwards', async () => {
    const [near, far] = await pair();
    proxy.cut();
    await near.over();
    await far.over();
    const refused = new End(connect(proxy.port, '127.0.0.1'));
    await refused.over();
    assert.equal(accepted.length, 1);
    proxy.heal();
    await pair();
  });

  it('breaks connections by the share of chunks that is asked for, the same ones for the same seed', async () => {
    proxy.lossPerChunk = 1;
    const [near] = await pair();
    near.socket.write('gone');
    await near.over();
    assert.equal(proxy.losses, 1);
    proxy.lossPerChunk = 0;
    const [kept, keptFar] = await pair();
    kept.socket.write('kept');
    await keptFar.got('kept');
    assert.equal(proxy.losses, 1);
  });
});

/** Longer than anything that is already under way on this machine takes. */
async function roundTrip(port: number, accepted: readonly End[]): Promise<void> {
  for (let i = 0; i < 20; i++) {
    const before = accepted.length;
    const socket = new End(connect(port, '127.0.0.1'));
    const far = await until(() => accepted[before], 'a connection past the proxy');
    far.socket.write('.');
    await socket.got('.');
    socket.socket.destroy();
  }
}
