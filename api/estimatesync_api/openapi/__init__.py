"""The API's description: the operations as values, the OpenAPI document made of them, and the same as a page."""
