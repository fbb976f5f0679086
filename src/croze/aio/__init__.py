"""What asyncio leaves to everybody who uses it, in one place: blocking work in threads that ends
before its awaiter does (`threads`), things at once, and which of their failures is raised
(`parallel`), things that are made once however many ask (`once`), locks by key (`locks`), work of
strangers in turns (`share`), work that ends in order when it is interrupted (`interrupts`); servers
of byte streams (`streams`), connections by name (`dialling`), descriptors over sockets, and written
to without blocking (`descriptors`); what waits for a slow listener (`backlog`). Knows no other
package.
"""
