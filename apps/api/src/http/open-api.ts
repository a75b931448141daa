import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Controller, Get, Header, Injectable, Param, StreamableFile } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ApiExcludeController, DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { Refused } from './refused.js';
import { RequiresMode } from '../server-mode/mode.guard.js';
import { Sent, type SentRequest } from './sent-request.js';
import { version } from './version.js';

type SchemaObject = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>[string];

const text = { type: 'string' as const };
const whole = { type: 'integer' as const, format: 'int64' };
const enumerated = {
  oneOf: [{ type: 'string' as const }, { type: 'number' as const }],
  description: 'Of a mapped field the name or the DBID, as its business attribute says now; else as it was sent.',
};
const time = { type: 'string' as const, format: 'date-time', example: '2009-05-12T12:05:12.145Z' };
const schema = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const list = (name: string) => ({ type: 'array' as const, items: schema(name) });

const started = {
  started: { ...schema('Event') },
  completed: { ...schema('Event') },
  disposition: enumerated,
  disposition_desc: text,
};
const nestedTasks = { active_tasks: list('Task'), completed_tasks: list('Task') };
const withExtensions = { additionalProperties: { description: 'An extension, if it was asked for.' } };

const answers: Readonly<Record<string, SchemaObject>> = {
  Event: {
    type: 'object',
    required: ['timestamp'],
    properties: {
      timestamp: time,
      session_id: text,
      interaction_id: text,
      application_type: enumerated,
      application_id: whole,
      resource_type: enumerated,
      resource_id: whole,
      media_type: enumerated,
    },
  },
  Service: {
    type: 'object',
    required: ['service_id', 'started'],
    properties: {
      service_id: text,
      service_type: enumerated,
      customer_id: text,
      contact_key: text,
      est_duration: whole,
      ...started,
      active_states: list('State'),
      completed_states: list('State'),
      ...nestedTasks,
    },
    ...withExtensions,
  },
  State: {
    type: 'object',
    description: 'Within a service it does not repeat service_id.',
    required: ['state_id', 'started'],
    properties: {
      state_id: text,
      state_type: enumerated,
      service_id: text,
      previous_state_id: text,
      est_duration: whole,
      ...started,
      ...nestedTasks,
    },
    ...withExtensions,
  },
  Task: {
    type: 'object',
    description: 'Within a service or state it does not repeat service_id.',
    required: ['task_id', 'started'],
    properties: {
      task_id: text,
      task_type: enumerated,
      state_id: text,
      service_id: text,
      est_duration: whole,
      ...started,
    },
    ...withExtensions,
  },
  CompositeAnswer: {
    type: 'object',
    required: ['services'],
    properties: {
      services: {
        type: 'array',
        items: {
          type: 'object',
          required: ['service_id', 'service_created'],
          properties: {
            service_id: text,
            service_created: { type: 'boolean' },
            state_id: text,
            state_created: { type: 'boolean' },
            task_id: text,
            task_created: { type: 'boolean' },
          },
        },
      },
    },
  },
  ServerStatus: {
    type: 'object',
    required: ['version', 'mode', 'system_time', 'started'],
    properties: {
      version: text,
      mode: { type: 'string', enum: ['production', 'maintenance'] },
      system_time: text,
      started: text,
      last_request: text,
      ...Object.fromEntries(
        [
          'max_memory',
          'allocated_memory',
          'used_memory',
          'free_memory',
          'request_today',
          'client_errors_today',
          'server_errors_today',
        ].map((name) => [name, whole]),
      ),
    },
  },
  ServerChanged: {
    type: 'object',
    required: ['server changed'],
    properties: { 'server changed': { type: 'string', enum: ['production', 'maintenance'] } },
  },
  AttributeSchema: {
    type: 'object',
    required: ['name', 'type'],
    properties: {
      name: text,
      type: text,
      length: whole,
      default: { description: 'A value of the type.' },
      mandatory: { type: 'boolean' },
      encrypt: { type: 'boolean' },
    },
  },
  ProfileExtension: {
    type: 'object',
    required: ['name', 'type', 'attributes', 'unique'],
    properties: {
      name: text,
      type: { type: 'string', enum: ['single-valued', 'multi-valued'] },
      attributes: list('AttributeSchema'),
      unique: { type: 'array', items: text },
    },
  },
  IdentificationKey: {
    type: 'object',
    required: ['name', 'source', 'attributes', 'unique'],
    properties: {
      name: text,
      source: { ...text, description: '`profile`, or the name of an extension.' },
      attributes: { type: 'array', items: text, description: 'Of an extension: with its name, `ext.code`.' },
      unique: { type: 'boolean' },
    },
  },
  BusinessAttribute: {
    type: 'object',
    required: ['name', 'dbid', 'display_name', 'description', 'values'],
    properties: {
      name: text,
      dbid: whole,
      display_name: text,
      description: text,
      map_name: {
        type: 'boolean',
        description: 'Whether answers show names or DBIDs; an option decides when missing.',
      },
      cv_attributes: { type: 'array', items: text, description: 'The fields that are mapped on it: `Service.type`.' },
      values: list('BusinessAttributeValue'),
    },
  },
  BusinessAttributeValue: {
    type: 'object',
    required: ['name', 'dbid', 'display_name', 'description'],
    properties: {
      name: text,
      dbid: whole,
      display_name: text,
      description: text,
      default: { type: 'boolean' },
      expiration: text,
      type: { type: 'string', enum: ['string', 'date'] },
    },
  },
  MetadataCache: {
    type: 'object',
    required: ['profiles-extensions', 'identification-keys', 'loaded'],
    properties: {
      'profiles-extensions': { type: 'array', items: text },
      'identification-keys': { type: 'array', items: text },
      loaded: time,
    },
  },
  Error: {
    type: 'object',
    description:
      'Routes of metadata, profiles, interactions and the server itself say the request too; `code` repeats the status.',
    required: ['message', 'exception'],
    properties: {
      http_method: text,
      http_uri: { ...text, description: 'The path behind the prefix.' },
      http_code: { type: 'integer' },
      code: { type: 'integer' },
      error: text,
      message: { ...text, example: 'There are no service found for : 361-a3793cef-d559-4f9f-a95d-64555a4ba371' },
      exception: { ...text, example: 'com.genesyslab.gsg.services.contextservices.exceptions.NotFoundException' },
    },
  },
  Problem: {
    type: 'object',
    description: 'RFC 9457, for callers that ask for application/problem+json.',
    required: ['type', 'title', 'status', 'detail', 'message', 'exception'],
    properties: {
      type: text,
      title: text,
      status: { type: 'integer' },
      detail: text,
      message: text,
      exception: text,
    },
  },
};

/** Bodies that may be missing. */
const optionalBodies = /\/(Associate\w*|End\w+|StartState|StartTask)Body$/;

/** Bodies in which every name without a meaning is an extension. */
const bodiesWithExtensions = /^(Start|Associate|End|Ended|Next)\w*Body$/;

const description = `A server for services, states and tasks of customers' conversations that callers of Context Services 8.5 can use
without change. Where that product loses data silently, this server answers with an error and says so below:

- Bodies are JSON in UTF-8 whatever their content type says. Broken JSON, bytes that are not UTF-8, half of a surrogate
  pair, more than 256 levels, a body that must be an object and is not: 400. A body that says it is a form or plain text
  and is not JSON: 415. Larger than 1 MiB (an option): 413.
- A whole number beyond 2^53 is refused (400, send it as text) and never rounded. In ids it is read as text.
- Unknown ids answer 404 (an option gives the 400 of the product). What is completed already: 409.
- Dates take 1 to 9 digits of fraction, Z, an offset or none (UTC) and one-digit parts; answers have three digits and Z.
- A contact key, customer id, enumerated value or extension name has at most 1024 bytes; session_id 32, interaction_id 50, disposition_desc
  64 characters. Longer ones are refused, not cut.
- Names of the contract cannot be names of extensions (400 in the path; in bodies those that only answers have are passed
  over, so that an answer can be posted back).
- Of a field that a business attribute is mapped on, values are taken by DBID, name or display name; others are refused, and
  the message lists the valid ones. A type that is missing at a start is the default value, without one it is refused.
- ttl and expiration_time are taken in every start and end; both must be in the future. Without them a conversation
  expires some time (5 years, an option) after its last change.
- The conversation as it was (\`?at=\`) is not served yet: 400. A ContactCenterId that is not this server's tenant: 400.
- Each operation says the server mode that it needs (\`x-requires-mode\`: production, maintenance or both). In the other mode,
  and while the mode is switched: 503.
- 503 is the only answer of its kind: its exception tells why, X-CS-Outcome whether a change was applied, Retry-After when
  to come back.
- Every answer carries X-CS-Position. Sent back, it makes any process wait until it knows what the caller has seen.`;

/** The OpenAPI document, made from the code when it is first asked for. */
@Injectable()
export class OpenApi {
  private app: NestFastifyApplication | undefined;
  private made: OpenAPIObject | undefined;

  describe(app: NestFastifyApplication): void {
    this.app = app;
  }

  get document(): OpenAPIObject {
    if (!this.app) throw new Error('there is no application to describe');
    this.made ??= openApi(this.app);
    return this.made;
  }
}

/** The package that @nestjs/swagger brings along: nothing is fetched from elsewhere. */
const assets = dirname(
  createRequire(createRequire(import.meta.url).resolve('@nestjs/swagger')).resolve('swagger-ui-dist/package.json'),
);
const assetTypes: ReadonlyMap<string, string> = new Map([
  ['swagger-ui.css', 'text/css;charset=UTF-8'],
  ['swagger-ui-bundle.js', 'text/javascript;charset=UTF-8'],
  ['favicon-32x32.png', 'image/png'],
]);

/** `<base>/openapi.json`, and `<base>/docs` to browse it. */
@ApiExcludeController()
@Controller()
export class OpenApiController {
  constructor(private readonly openApi: OpenApi) {}

  @Get('openapi.json')
  @RequiresMode('always')
  document(): OpenAPIObject {
    return this.openApi.document;
  }

  @Get('docs')
  @RequiresMode('always')
  @Header('Content-Type', 'text/html;charset=UTF-8')
  page(@Sent() { prefix }: SentRequest): string {
    return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>context-services</title>
<link rel="icon" href="${prefix}/docs/favicon-32x32.png">
<link rel="stylesheet" href="${prefix}/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="${prefix}/docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({ url: '${prefix}/openapi.json', dom_id: '#page', deepLinking: true })</script>
</body>
</html>
`;
  }

  @Get('docs/:asset')
  @RequiresMode('always')
  async asset(@Param('asset') name: string): Promise<StreamableFile> {
    const type = assetTypes.get(name);
    if (type === undefined) throw new Refused('no-such-route', 'There is no resource at this path');
    return new StreamableFile(await readFile(join(assets, name)), { type });
  }
}

function openApi(app: NestFastifyApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('context-services')
    .setDescription(description)
    .setVersion(version)
    .build();
  const document = SwaggerModule.createDocument(app, { ...config, security: [] });
  const schemas = { ...document.components?.schemas, ...answers };
  for (const item of Object.values(document.paths)) {
    const body = item.post?.requestBody;
    if (!body || '$ref' in body) continue;
    const schema = body.content['application/json']?.schema;
    if (schema && '$ref' in schema && optionalBodies.test(schema.$ref)) body.required = false;
  }
  return {
    ...document,
    components: {
      ...document.components,
      schemas: Object.fromEntries(
        Object.entries(schemas).map(([name, schema]) => [
          name,
          bodiesWithExtensions.test(name)
            ? {
                ...schema,
                additionalProperties: { description: 'Any other name is an extension, any JSON its value.' },
              }
            : schema,
        ]),
      ),
    },
  };
}
