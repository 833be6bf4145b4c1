/**
 * The OpenAPI description of the management interface: see `management.ts`.
 *
 * @module
 */

const TEXT = { type: "string" };
const COUNT = { type: "integer", minimum: 0 };
const INSTANT = { type: "string", format: "date-time" };

const ADMISSION_REQUEST = {
  type: "object",
  additionalProperties: false,
  properties: {
    id: { type: "string", pattern: "^[A-Za-z0-9_-]{1,64}$", description: "By which it is revoked. A random one." },
    expiresInMs: {
      type: "integer",
      minimum: 1,
      maximum: 34_560_000_000,
      description: "Milliseconds until it expires. A day.",
    },
    assignName: {
      type: "boolean",
      description: "Chooses a random name now, of at least 60 bits, so that it can be told to others beforehand.",
    },
    name: { type: "string", pattern: "^[a-z0-9*-]{1,64}$", description: "The name, or a pattern of names." },
    holder: { type: "string", description: "The id of the only node that may show it." },
    audience: TEXT,
    namespace: TEXT,
    type: { type: "string", enum: ["node", "client"], description: "Nobody can open circuits to a client." },
    targets: { type: "array", maxItems: 32, items: TEXT, description: "Whom circuits may be opened to." },
    uses: { type: "integer", minimum: 1, maximum: 1_000_000, description: "How many nodes may come with it." },
    bytesPerSecond: COUNT,
    burstBytes: COUNT,
    circuitsMax: COUNT,
    incomingCircuitsMax: COUNT,
  },
};

const ADMISSION = {
  type: "object",
  required: ["admission", "id", "expiresAt", "relay"],
  properties: {
    admission: { type: "string", description: "The option `admission` of the client's node: a secret of its own." },
    id: TEXT,
    name: { type: "string", description: "The name, where it stands for one." },
    expiresAt: INSTANT,
    relay: { type: "string", description: "The relay's ticket, for the option `relays` of the client's node." },
  },
};

const CLIENT = {
  type: "object",
  required: ["id", "name", "clientClass", "nodeType", "joinedAt", "isSuspended", "circuits", "bytesForwarded"],
  properties: {
    id: TEXT,
    name: TEXT,
    clientClass: { type: "string", enum: ["anonymous", "token"] },
    nodeType: { type: "string", enum: ["node", "client"] },
    namespace: TEXT,
    admissionId: TEXT,
    joinedAt: INSTANT,
    isSuspended: { type: "boolean", description: "Whether its connection is gone and its session waits for another." },
    circuits: COUNT,
    bytesForwarded: COUNT,
  },
};

const PROBLEM = {
  type: "object",
  required: ["error", "message"],
  properties: { error: { type: "string", description: "A stable code." }, message: TEXT },
};

function answer(description: string, schema?: object): object {
  return schema === undefined ? { description } : { description, content: { "application/json": { schema } } };
}

const REFUSALS = {
  401: answer("The secret is missing or wrong.", { $ref: "#/components/schemas/Problem" }),
  429: answer("Too many wrong secrets: try again in a minute.", { $ref: "#/components/schemas/Problem" }),
};
const BAD_REQUEST = answer("What is asked for cannot be; the message says why.", {
  $ref: "#/components/schemas/Problem",
});

/** The description, OpenAPI 3.1, as an object. */
export const MANAGEMENT_OPENAPI: Readonly<Record<string, unknown>> = {
  openapi: "3.1.0",
  info: {
    title: "Viaduct relay: management",
    version: "1",
    description:
      "For servers that let their clients in at a relay: they ask for an admission and hand it to the client, whose node shows it to the relay.",
  },
  security: [{ secret: [] }],
  paths: {
    "/openapi.json": {
      get: { operationId: "describe", security: [], summary: "This description", responses: { 200: answer("It.") } },
    },
    "/v1/admissions": {
      post: {
        operationId: "issueAdmission",
        summary: "Issue an admission",
        requestBody: {
          required: true,
          content: { "application/json": { schema: { $ref: "#/components/schemas/AdmissionRequest" } } },
        },
        responses: {
          201: answer("Issued. Nothing of it is kept.", { $ref: "#/components/schemas/Admission" }),
          400: BAD_REQUEST,
          413: answer("The body is longer than 16 KiB.", { $ref: "#/components/schemas/Problem" }),
          415: answer("The body is no application/json.", { $ref: "#/components/schemas/Problem" }),
          ...REFUSALS,
        },
      },
    },
    "/v1/admissions/{id}": {
      delete: {
        operationId: "revokeAdmission",
        summary: "Revoke an admission: registrations that it gave end at once",
        parameters: [
          { name: "id", in: "path", required: true, schema: TEXT },
          {
            name: "expiresAt",
            in: "query",
            schema: INSTANT,
            description: "Until when the revocation is kept, as the answer to its issue said. 400 days.",
          },
        ],
        responses: {
          204: answer("Revoked."),
          400: BAD_REQUEST,
          507: answer("The list of revoked admissions is full.", { $ref: "#/components/schemas/Problem" }),
          ...REFUSALS,
        },
      },
    },
    "/v1/clients": {
      get: {
        operationId: "listClients",
        summary: "Who is here, the first 1,000",
        responses: {
          200: answer("They.", {
            type: "object",
            required: ["clients", "isTruncated"],
            properties: {
              clients: { type: "array", items: { $ref: "#/components/schemas/Client" } },
              isTruncated: { type: "boolean" },
            },
          }),
          ...REFUSALS,
        },
      },
    },
  },
  components: {
    securitySchemes: { secret: { type: "http", scheme: "bearer" } },
    schemas: { AdmissionRequest: ADMISSION_REQUEST, Admission: ADMISSION, Client: CLIENT, Problem: PROBLEM },
  },
};
