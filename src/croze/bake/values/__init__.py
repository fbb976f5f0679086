"""What expressions compute: typed values, conversion between types, exact numbers, JSON.

The model is cty's (github.com/zclconf/go-cty): primitive, collection and structural types, and a
dynamic type for what is not decided. The only unknown values are the ones that stand where an error
was found, so that evaluation can go on and find more.
"""
