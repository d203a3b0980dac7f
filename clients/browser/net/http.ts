/** One request to the server's HTTP API, answered or refused with a code. */

/** The server said no. Its message begins with the code, as sentences.ts looks for. */
export class Refusal extends Error {
  readonly code: string;
  readonly status: number;
  /** Facts beside the code. */
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(status: number, body: Readonly<Record<string, unknown>>) {
    const code = typeof body['code'] === 'string' ? body['code'] : 'INTERNAL';
    super(code);
    this.name = 'Refusal';
    this.code = code;
    this.status = status;
    this.detail = body;
  }
}

export interface Sent {
  readonly body?: unknown;
  readonly token?: string | undefined;
  /** Idempotency key. */
  readonly key?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** @throws Refusal; TypeError when there is no connection; AbortError */
export async function send<T>(method: string, path: string, { body, token, key, signal }: Sent = {}): Promise<T> {
  const response = await fetch(path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(key === undefined ? {} : { 'Idempotency-Key': key }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  const answer: unknown = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, (answer ?? {}) as Record<string, unknown>);
  return answer as T;
}
