FROM scratch
COPY dir/ /
COPY empty /e
ADD one dir /z/
ENV PATH=/x:$PATH
CMD /x
