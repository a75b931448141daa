import { Body, Controller, Delete, Get, Param, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { caseless } from '#domain';
import { Documented, listOf, ref } from '../http/documented.js';
import { Sent, type SentRequest } from '../http/sent-request.js';
import { RequiresMode } from '../server-mode/mode.guard.js';
import { IdentificationKeyBody, MetadataBody, ProfileExtensionBody } from './bodies.js';
import { extensionDefinition } from './from-body.js';
import { MetadataCalls } from './metadata-calls.js';
import { extensionsByName, keyAnswer, keysByName, profileAnswer } from './metadata.answer.js';

const EXTENSION = 'profile extension';
const KEY = 'identification key';
const unknownExtension = { 404: 'There is no such extension.' };
const unknownKey = { 404: 'There is no such key.' };
const anyCase = 'Its name is compared without regard to case.';

/** What profiles are made of, and how customers are identified (contract 8, C1 to C7). */
@ApiTags('metadata')
@Controller('metadata')
export class ProfileSchemaController {
  constructor(private readonly calls: MetadataCalls) {}

  @Get('profiles')
  @RequiresMode('both')
  @Documented({
    id: 'C1',
    summary: 'Query the profile schema',
    description:
      'The core attributes, in the order of the business attribute `ContactAttributes`; extensions are not listed. Without a profile schema: an empty list.',
    status: 200,
    answer: listOf('AttributeSchema'),
  })
  schema(@Sent() sent: SentRequest) {
    return profileAnswer(this.calls.known(sent));
  }

  @Post('profiles/extensions')
  @RequiresMode('both')
  @Documented({
    id: 'C2',
    summary: 'Create a profile extension schema',
    description:
      'A schema is never changed, only deleted. Attributes that are `unique` become mandatory. The body of the answer is empty. Not possible as names: `customer_id`, `extensions`, `include_profile`, `include_extensions`, `id_key`, `profile`, `tenant_id`.',
    status: 201,
    location: 'Path of the schema.',
    errors: { 409: 'An extension or a core attribute has the name.' },
    changes: true,
  })
  async createExtension(@Body(MetadataBody) body: ProfileExtensionBody, @Sent() sent: SentRequest): Promise<void> {
    const data = extensionDefinition(body);
    const { name } = await this.calls.change(sent, { type: 'CreateProfileExtensionSchema', data });
    sent.location('metadata', 'profiles', 'extensions', name);
  }

  @Get('profiles/extensions')
  @RequiresMode('both')
  @Documented({
    id: 'C3_all',
    summary: 'Query profile extension schemas',
    description: 'By name.',
    status: 200,
    answer: listOf('ProfileExtension'),
  })
  extensions(@Sent() sent: SentRequest) {
    return extensionsByName(this.calls.known(sent));
  }

  @Get('profiles/extensions/:name')
  @RequiresMode('both')
  @Documented({
    id: 'C3_one',
    summary: 'Query a profile extension schema',
    description: anyCase,
    status: 200,
    answer: ref('ProfileExtension'),
    errors: unknownExtension,
  })
  extension(@Param('name') name: string, @Sent() sent: SentRequest) {
    return this.calls.found(sent, EXTENSION, name, ({ profileExtensions }) => profileExtensions.get(caseless(name)));
  }

  @Delete('profiles/extensions/:name')
  @RequiresMode('maintenance')
  @Documented({
    id: 'C4',
    summary: 'Delete a profile extension schema',
    description: anyCase,
    status: 204,
    errors: { ...unknownExtension, 409: 'An identification key uses it.' },
    changes: true,
    keyed: false,
  })
  async deleteExtension(@Param('name') name: string, @Sent() sent: SentRequest): Promise<void> {
    await this.calls.change(sent, { type: 'DeleteProfileExtensionSchema', data: { name } });
  }

  @Post('identification-keys')
  @RequiresMode('maintenance')
  @Documented({
    id: 'C5',
    summary: 'Create an identification key',
    description:
      'Of attributes of the profile or of one extension, never of both. The body of the answer is empty. Names as those of extensions.',
    status: 201,
    location: 'Path of the key.',
    errors: { 409: 'There is a key of the name.' },
    changes: true,
  })
  async createKey(@Body(MetadataBody) body: IdentificationKeyBody, @Sent() sent: SentRequest): Promise<void> {
    const { name } = await this.calls.change(sent, { type: 'CreateIdentificationKey', data: body });
    sent.location('metadata', 'identification-keys', name);
  }

  @Get('identification-keys')
  @RequiresMode('both')
  @Documented({
    id: 'C6_all',
    summary: 'Query identification keys',
    description: 'By name. Attributes of an extension carry its name: `ext.code`.',
    status: 200,
    answer: listOf('IdentificationKey'),
  })
  keys(@Sent() sent: SentRequest) {
    return keysByName(this.calls.known(sent)).map(keyAnswer);
  }

  @Get('identification-keys/:name')
  @RequiresMode('both')
  @Documented({
    id: 'C6_one',
    summary: 'Query an identification key',
    description: anyCase,
    status: 200,
    answer: ref('IdentificationKey'),
    errors: unknownKey,
  })
  async key(@Param('name') name: string, @Sent() sent: SentRequest) {
    return keyAnswer(
      await this.calls.found(sent, KEY, name, ({ identificationKeys }) => identificationKeys.get(caseless(name))),
    );
  }

  @Delete('identification-keys/:name')
  @RequiresMode('maintenance')
  @Documented({
    id: 'C7',
    summary: 'Delete an identification key',
    description: anyCase,
    status: 204,
    errors: unknownKey,
    changes: true,
    keyed: false,
  })
  async deleteKey(@Param('name') name: string, @Sent() sent: SentRequest): Promise<void> {
    await this.calls.change(sent, { type: 'DeleteIdentificationKey', data: { name } });
  }
}
