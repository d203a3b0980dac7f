import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { LIMITS } from '../../src/limits.ts';
import { HttpGate, isLoopback, networkOf } from '../../src/ops/http-gate.ts';

describe('a network that shares a rate limit', () => {
  for (const [address, network] of [
    ['203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2:ffff::1', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', ''],
  ] as const) {
    it(`of ${address || 'an unknown address'} is ${network || 'that of all unknown ones'}`, () => {
      assert.equal(networkOf(address), network);
    });
  }

  it('is not limited on this machine', () => {
    for (const address of ['127.0.0.1', '127.9.9.9', '::1']) assert.equal(isLoopback(address), true);
    for (const address of ['128.0.0.1', '127.0.0.1.evil', '', '::2', '::ffff:127.0.0.1']) {
      assert.equal(isLoopback(address), false);
    }
  });
});

describe('the gate', () => {
  let server: Server;
  const bugs: unknown[] = [];
  const shed: string[] = [];

  before(async () => {
    server = createServer((request, response) => {
      if (request.url === '/bug') throw new TypeError('a bug with a secret');
      response.end(String(request.headers['x-real-ip']));
    });
    const gate = new HttpGate({
      limits: { ...LIMITS, unfinishedPerAddressMax: 3, unfinishedGraceMs: 0 },
      publicOrigins: [],
      allowsLoopbackOrigins: false,
      proxyHops: 2,
      rateLimitOf: () => undefined,
      refusalOf: () => undefined,
      onRefusal: () => {},
      onShedSocket: (reason) => shed.push(reason),
      onBug: (error) => bugs.push(error),
    });
    gate.watch(server);
    gate.enclose(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  after(() => new Promise((resolve) => server.close(resolve)));

  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, { headers });

  it('answers INTERNAL for a bug behind it, says nothing of it, and reports it', async () => {
    const response = await get('/bug');
    assert.equal(response.status, 500);
    const text = await response.text();
    assert.match(text, /"code":"INTERNAL"/);
    assert.doesNotMatch(text, /secret/);
    assert.equal(bugs.length, 1);
  });

  it('closes the oldest of the connections that have not sent a request, and serves a new one', async () => {
    const closed: number[] = [];
    const sockets: Socket[] = [];
    for (let at = 0; at < 5; at++) {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').resume();
      socket.on('close', () => closed.push(at));
      sockets.push(socket);
      // One after the other, so that the server knows which is the oldest.
      await once(server, 'connection');
    }
    assert.equal((await get('/')).status, 200);
    while (closed.length < 2) await once(sockets[closed.length]!, 'close');
    assert.deepEqual(closed, [0, 1]);
    assert.deepEqual(shed.slice(0, 2), ['unfinished', 'unfinished']);
    for (const socket of sockets) socket.destroy();
  });

  it('bounds the connections of one IPv6 subscriber together, whatever addresses they come from', () => {
    const listening = new EventEmitter();
    const turnedAway: string[] = [];
    const gate = new HttpGate({
      limits: { ...LIMITS, socketsPerAddressMax: 3 },
      publicOrigins: [],
      allowsLoopbackOrigins: false,
      proxyHops: 0,
      rateLimitOf: () => undefined,
      refusalOf: () => undefined,
      onRefusal: () => {},
      onShedSocket: (reason) => turnedAway.push(reason),
      onBug: (error) => bugs.push(error),
    });
    gate.watch(listening as Server);
    const arrive = (remoteAddress: string): EventEmitter => {
      const socket = Object.assign(new EventEmitter(), { remoteAddress, destroy() {} });
      listening.emit('connection', socket);
      return socket;
    };
    const first = arrive('2001:db8:1:2::1');
    arrive('2001:db8:1:2::2');
    arrive('2001:db8:1:2:ffff::3');
    arrive('2001:db8:1:3::1');
    assert.deepEqual(turnedAway, []);
    arrive('2001:db8:1:2::4');
    assert.deepEqual(turnedAway, ['crowded']);
    first.emit('close');
    arrive('2001:db8:1:2::5');
    assert.deepEqual(turnedAway, ['crowded'], 'who goes makes room');
  });

  for (const [forwarded, address] of [
    ['198.51.100.7, 203.0.113.1', '198.51.100.7'],
    ['6.6.6.6, 198.51.100.7, 203.0.113.1', '198.51.100.7'],
    ['::ffff:198.51.100.7, 203.0.113.1', '198.51.100.7'],
    ['2001:db8::7,203.0.113.1', '2001:db8::7'],
    ['203.0.113.1', '127.0.0.1'],
    ['<script>, 203.0.113.1', '127.0.0.1'],
    ['', '127.0.0.1'],
  ] as const) {
    it(`behind two proxies takes ${JSON.stringify(forwarded)} for ${address}`, async () => {
      const headers = { 'x-forwarded-for': forwarded, 'x-real-ip': '6.6.6.6' };
      assert.equal(await (await get('/', headers)).text(), address);
    });
  }
});
