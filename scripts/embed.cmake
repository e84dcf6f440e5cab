# Writes the bytes of IN to OUT as the C arrays NAME and NAME_size.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include <stddef.h>\nextern const unsigned char ${NAME}[];\nextern const size_t ${NAME}_size;\nconst unsigned char ${NAME}[] = {${bytes}0};\nconst size_t ${NAME}_size = sizeof(${NAME}) - 1;\n")
